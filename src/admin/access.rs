//! Who may ask, and who may change something.

use std::net::IpAddr;

use config::Secret;
use http::{Method, StatusCode, header, request::Parts};

use super::body::Problem;

/// Decides which requests are let in.
#[derive(Debug, Default)]
pub(crate) struct Access {
    token: Option<Secret>,
    /// Whether only this machine can connect; then a page in a browser must not get in by a trick.
    loopback: bool,
}

impl Access {
    pub(crate) fn new(token: Option<Secret>, listen: IpAddr) -> Self {
        Self {
            token,
            loopback: listen.is_loopback(),
        }
    }

    pub(super) fn check(&self, request: &Parts) -> Result<(), Problem> {
        self.check_host(request)?;
        if request.method == Method::GET || request.method == Method::HEAD {
            return Ok(());
        }
        let Some(token) = &self.token else {
            return Ok(());
        };
        let sent = request.headers.get(header::AUTHORIZATION);
        let sent = sent.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        match sent {
            Some(sent) if token.matches(sent) => Ok(()),
            Some(_) => Err(unauthorized("the token is not the right one")),
            None => Err(unauthorized("this needs `Authorization: Bearer TOKEN`")),
        }
    }

    /// Refuses names that aren't this machine's: a page whose name was pointed at 127.0.0.1 (DNS
    /// rebinding) comes with its own name in `Host`.
    fn check_host(&self, request: &Parts) -> Result<(), Problem> {
        let host = request.headers.get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let authority = host.parse::<http::uri::Authority>().ok();
        let name = authority.as_ref().map_or("", |authority| authority.host());
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if self.loopback && bare.parse::<IpAddr>().is_err() && bare != "localhost" {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("`Host: {host}` is not this machine; use its address or `localhost`"),
            ));
        }
        Ok(())
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(access: &Access, method: &str, headers: &[(&str, &str)]) -> Result<(), StatusCode> {
        let mut request = http::Request::builder().method(method).uri("/v1/services");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        access.check(&parts).map_err(|problem| problem.status)
    }

    #[test]
    fn changing_needs_the_token_and_looking_does_not() {
        let access = Access::new(Some(Secret::new("t")), IpAddr::from([0, 0, 0, 0]));
        assert_eq!(check(&access, "GET", &[]), Ok(()));
        let wrong = Err(StatusCode::UNAUTHORIZED);
        assert_eq!(check(&access, "PUT", &[]), wrong);
        assert_eq!(
            check(&access, "PUT", &[("authorization", "Bearer x")]),
            wrong
        );
        assert_eq!(
            check(&access, "PUT", &[("authorization", "Bearer t")]),
            Ok(())
        );
    }

    #[test]
    fn a_name_that_is_not_this_machine_is_refused_on_loopback() {
        let access = Access::new(None, IpAddr::from([127, 0, 0, 1]));
        for host in ["127.0.0.1:8081", "[::1]:8081", "localhost", "localhost:1"] {
            assert_eq!(check(&access, "GET", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.example:8081", ""] {
            let refused = Err(StatusCode::FORBIDDEN);
            assert_eq!(check(&access, "GET", &[("host", host)]), refused, "{host}");
        }
    }
}
