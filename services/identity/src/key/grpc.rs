//! KeyService: decode, do, encode.

use contract::identity::v1 as pb;
use contract::identity::v1::key_service_server::KeyService;
use tonic::{Request, Response, Status};

use super::KEY_SET_MAX_AGE_SECONDS;
use super::ops::Ops;

/// The transport of signing keys.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
    /// What relying parties are told.
    pub openid_configuration: String,
}

#[tonic::async_trait]
impl KeyService for Grpc {
    async fn get_json_web_key_set(
        &self,
        req: Request<pb::GetJsonWebKeySetRequest>,
    ) -> Result<Response<pb::GetJsonWebKeySetResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let json_web_key_set = self.ops.json_web_key_set(&caller).await?;
        Ok(Response::new(pb::GetJsonWebKeySetResponse { json_web_key_set, max_age_seconds: KEY_SET_MAX_AGE_SECONDS }))
    }

    async fn get_open_id_configuration(
        &self,
        req: Request<pb::GetOpenIdConfigurationRequest>,
    ) -> Result<Response<pb::GetOpenIdConfigurationResponse>, Status> {
        let (_, _) = rpc::open(req)?;
        let openid_configuration = self.openid_configuration.clone();
        Ok(Response::new(pb::GetOpenIdConfigurationResponse { openid_configuration, max_age_seconds: KEY_SET_MAX_AGE_SECONDS }))
    }

    async fn list_signing_keys(&self, req: Request<pb::ListSigningKeysRequest>) -> Result<Response<pb::ListSigningKeysResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let keys = self.ops.list(&caller).await?;
        Ok(Response::new(pb::ListSigningKeysResponse { signing_keys: keys.into_iter().map(Into::into).collect() }))
    }

    async fn rotate_signing_key(
        &self,
        req: Request<pb::RotateSigningKeyRequest>,
    ) -> Result<Response<pb::RotateSigningKeyResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let active = self.ops.rotate(&caller, req.emergency).await?;
        Ok(Response::new(pb::RotateSigningKeyResponse { active_key: Some(active.into()) }))
    }
}
