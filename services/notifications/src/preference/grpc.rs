//! PreferenceService: decode, do, encode.

use contract::notifications::v1::preference_service_server::PreferenceService;
use contract::notifications::v1::{GetPreferencesRequest, GetPreferencesResponse, UpdatePreferencesRequest, UpdatePreferencesResponse};
use tonic::{Request, Response, Status};

use super::{convert::choice, ops::Ops};

/// Serves preferences.
#[derive(Clone)]
pub(crate) struct Grpc {
    ops: Ops,
}

impl Grpc {
    /// Over `ops`.
    pub(crate) fn new(ops: Ops) -> Self {
        Grpc { ops }
    }
}

#[tonic::async_trait]
impl PreferenceService for Grpc {
    async fn get_preferences(&self, req: Request<GetPreferencesRequest>) -> Result<Response<GetPreferencesResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let all = self.ops.get(&caller).await?;
        Ok(Response::new(GetPreferencesResponse { preferences: Some((&all).into()) }))
    }

    async fn update_preferences(&self, req: Request<UpdatePreferencesRequest>) -> Result<Response<UpdatePreferencesResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let changes = req.preferences.iter().map(choice).collect::<Result<Vec<_>, _>>()?;
        let all = self.ops.update(&caller, &changes).await?;
        Ok(Response::new(UpdatePreferencesResponse { preferences: Some((&all).into()) }))
    }
}
