//! Authentication with the camera. The relay does it because only the relay knows the camera's own URLs.

use http_auth::{PasswordClient, PasswordParams};

/// Answers the challenges of one camera.
pub(super) struct Login {
    credentials: Option<(String, String)>,
    /// Set by the first challenge.
    client: Option<PasswordClient>,
}

impl Login {
    /// A login with user name and password, if there are any.
    pub(super) fn new(credentials: Option<(&str, &str)>) -> Self {
        let credentials = credentials.map(|(name, password)| (name.to_owned(), password.to_owned()));
        Self { credentials, client: None }
    }

    /// Applies a `WWW-Authenticate` header. Returns whether it can be answered, so that a retry makes sense.
    pub(super) fn challenge(&mut self, header: &str) -> bool {
        if self.credentials.is_none() {
            return false;
        }
        match PasswordClient::try_from(header) {
            Ok(client) => {
                self.client = Some(client);
                true
            }
            Err(_) => false,
        }
    }

    /// The `Authorization` header of a request, after a challenge.
    pub(super) fn authorization(&mut self, method: &str, uri: &str) -> Option<String> {
        let (username, password) = self.credentials.as_ref()?;
        let body = Some(&[][..]);
        self.client.as_mut()?.respond(&PasswordParams { username, password, uri, method, body }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemes_are_answered_and_a_new_nonce_replaces_the_old() {
        let mut login = Login::new(Some(("viewer", "geheim")));
        assert_eq!(login.authorization("OPTIONS", "rtsp://cam/"), None);
        assert!(login.challenge("Basic realm=\"x\""));
        assert_eq!(login.authorization("OPTIONS", "rtsp://cam/").unwrap(), "Basic dmlld2VyOmdlaGVpbQ==");
        for nonce in ["first", "second"] {
            assert!(login.challenge(&format!("Digest realm=\"x\", nonce=\"{nonce}\"")));
            let header = login.authorization("OPTIONS", "rtsp://cam/a").unwrap();
            assert!(header.contains(nonce) && header.contains("uri=\"rtsp://cam/a\""), "{header}");
            assert!(!header.contains("geheim"));
        }
        assert!(!login.challenge("Negotiate"));
        assert!(!Login::new(None).challenge("Basic realm=\"x\""));
    }
}
