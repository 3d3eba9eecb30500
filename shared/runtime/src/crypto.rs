//! The one cryptographic provider of the process.

/// Installs aws-lc-rs as the provider of rustls. The first line of every `main` and of every test that opens a TLS connection.
///
/// Calling it again changes nothing.
pub fn init_crypto() {
    // An error says that a provider is installed already, and there is only this one in the tree.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_second_call_is_harmless_and_a_provider_is_there() {
        super::init_crypto();
        super::init_crypto();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
