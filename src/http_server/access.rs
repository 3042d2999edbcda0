//! Who may ask, and who may change something.

use std::net::IpAddr;

use config::Secret;
use http::{Method, StatusCode, header, request::Parts};

use super::body::Problem;

/// Decides which requests are let in.
#[derive(Debug, Default)]
pub(crate) struct Access {
    token: Option<Secret>,
    /// Whether only this machine can connect.
    loopback: bool,
    /// The names by which clients may ask.
    names: Vec<String>,
}

impl Access {
    pub(crate) fn new(token: Option<Secret>, listen: IpAddr) -> Self {
        Self {
            token,
            loopback: listen.is_loopback(),
            names: Vec::new(),
        }
    }

    /// Lets in who asks by one of these names, too.
    #[must_use]
    pub(crate) fn at(self, names: Vec<String>) -> Self {
        Self { names, ..self }
    }

    /// Lets a request in, or says why not.
    pub(crate) fn check(&self, request: &Parts) -> Result<(), Problem> {
        self.check_host(request)?;
        if request.method == Method::GET || request.method == Method::HEAD {
            return Ok(());
        }
        check_origin(request)?;
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
        let host = text(request, header::HOST);
        let authority = host.parse::<http::uri::Authority>().ok();
        let name = authority.as_ref().map_or("", |authority| authority.host());
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        // Elsewhere a name is as good as an address, provided that there is a token to know.
        let matters = self.loopback || self.token.is_none();
        let is_known = self
            .names
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name));
        if matters && bare.parse::<IpAddr>().is_err() && bare != "localhost" && !is_known {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("`Host: {host}` is not this machine; use its address or `localhost`"),
            ));
        }
        Ok(())
    }
}

/// Refuses changes that a page in a browser asks for: it sends along where it comes from.
fn check_origin(request: &Parts) -> Result<(), Problem> {
    let origin = text(request, header::ORIGIN);
    // What speaks TLS may stand in front.
    let schemes = ["http://", "https://"].iter();
    let mut from = schemes.filter_map(|scheme| origin.strip_prefix(scheme));
    if origin.is_empty() || from.next() == Some(text(request, header::HOST)) {
        return Ok(());
    }
    let detail = format!("a page of `{origin}` may not change anything here");
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn text(request: &Parts, name: header::HeaderName) -> &str {
    let value = request.headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
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
    fn a_page_of_another_site_cannot_change_anything() {
        let access = Access::new(None, IpAddr::from([127, 0, 0, 1]));
        let from = |origin| [("host", "127.0.0.1:8081"), ("origin", origin)];
        let own = from("http://127.0.0.1:8081");
        assert_eq!(check(&access, "POST", &own), Ok(()));
        assert_eq!(
            check(&access, "POST", &from("https://127.0.0.1:8081")),
            Ok(())
        );
        let refused = Err(StatusCode::FORBIDDEN);
        assert_eq!(
            check(&access, "POST", &from("http://evil.example")),
            refused
        );
        assert_eq!(check(&access, "POST", &from("null")), refused);
        assert_eq!(check(&access, "GET", &from("http://evil.example")), Ok(()));
    }

    #[test]
    fn without_a_token_names_are_refused_everywhere() {
        let open = Access::new(None, IpAddr::from([0, 0, 0, 0]));
        let named = [("host", "signpost.example:8081")];
        assert_eq!(check(&open, "GET", &named), Err(StatusCode::FORBIDDEN));
        let guarded = Access::new(Some(Secret::new("t")), IpAddr::from([0, 0, 0, 0]));
        assert_eq!(check(&guarded, "GET", &named), Ok(()));
        let known = open.at(vec!["Signpost.example".to_owned()]);
        assert_eq!(check(&known, "GET", &named), Ok(()));
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
