//! Who may ask. A service on the loopback can be reached by every web page that its user opens, so
//! what a browser sends for a foreign page is refused: by its origin, by a host name that is not
//! this service's (DNS rebinding), and by the content types that a form can send.

use std::net::IpAddr;

use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, ORIGIN},
    http::uri::Authority,
};

/// The rules that a request has to pass.
pub(super) struct Access {
    /// Names, besides addresses and `localhost`, under which clients reach this service.
    pub(super) hosts: Vec<String>,
    /// What `Authorization: Bearer` has to say; empty when no key is asked for.
    pub(super) key: String,
}

/// Why a request is refused.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// One sentence for the client.
    pub(super) detail: String,
}

impl Refusal {
    fn new(status: StatusCode, detail: String) -> Self {
        Self { status, detail }
    }
}

impl Access {
    /// Why a request is refused; `None` for one that passes.
    pub(super) fn refuse<B>(&self, request: &Request<B>) -> Option<Refusal> {
        let headers = request.headers();
        let host = text(headers, HOST).or_else(|| request.uri().authority().map(Authority::as_str));
        if !host.is_some_and(|host| self.knows(host)) {
            let detail = format!(
                "this service is not known as {:?}; name it with --host",
                host.unwrap_or_default()
            );
            return Some(Refusal::new(StatusCode::FORBIDDEN, detail));
        }
        if headers.contains_key(ORIGIN) && !same_origin(text(headers, ORIGIN), host) {
            let detail = "requests from web pages of other origins are refused".to_owned();
            return Some(Refusal::new(StatusCode::FORBIDDEN, detail));
        }
        if request.method() != Method::POST {
            return None;
        }
        if !self.key.is_empty() && !self.has_key(headers) {
            let detail = "the key is missing or wrong: send `Authorization: Bearer KEY`".to_owned();
            return Some(Refusal::new(StatusCode::UNAUTHORIZED, detail));
        }
        let sent = text(headers, CONTENT_TYPE).unwrap_or_default();
        let sent = sent.split(';').next().unwrap_or_default().trim();
        if !sent.eq_ignore_ascii_case("application/json") {
            let detail = "send `Content-Type: application/json` (with curl: --json)".to_owned();
            return Some(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        None
    }

    /// Whether a `Host` is an address, `localhost`, or one of the names that were given. Only a
    /// name can be rebound to another address.
    fn knows(&self, host: &str) -> bool {
        let Ok(uri) = host.parse::<Uri>() else {
            return false;
        };
        let name = uri.host().unwrap_or_default();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|own| name.eq_ignore_ascii_case(own))
    }

    /// Compares every byte, so that the time does not tell how many are right.
    fn has_key(&self, headers: &HeaderMap) -> bool {
        let sent = text(headers, AUTHORIZATION).unwrap_or_default();
        let sent = sent.strip_prefix("Bearer ").unwrap_or_default();
        let pairs = sent.bytes().zip(self.key.bytes());
        let differing = pairs.fold(0, |found, (a, b)| found | (a ^ b));
        sent.len() == self.key.len() && differing == 0
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a page comes from this service itself.
fn same_origin(origin: Option<&str>, host: Option<&str>) -> bool {
    let origin = origin.and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, address)| Some(address) == host)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn status(access: &Access, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::post("/run_code");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let refused = access.refuse(&request.body(()).unwrap());
        refused.map(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn what_a_foreign_page_can_send_is_refused() {
        let access = Access {
            hosts: vec!["sandbox.lab".to_owned()],
            key: String::new(),
        };
        let json = ("content-type", "application/json");
        for (headers, expected) in [
            (vec![("host", "127.0.0.1:8080"), json], None),
            (vec![("host", "[::1]:8080"), json], None),
            (vec![("host", "LOCALHOST"), json], None),
            (vec![("host", "sandbox.lab:80"), json], None),
            (vec![("host", "evil.example"), json], Some(403)),
            (vec![("host", "127.0.0.1.evil.example"), json], Some(403)),
            (vec![json], Some(403)),
            (
                vec![("host", "localhost:8080"), ("origin", "null"), json],
                Some(403),
            ),
            (
                vec![("host", "localhost:80"), ("origin", "http://a.b"), json],
                Some(403),
            ),
            (
                vec![
                    ("host", "localhost:80"),
                    ("origin", "http://localhost:80"),
                    json,
                ],
                None,
            ),
            (
                vec![("host", "localhost"), ("content-type", "text/plain")],
                Some(415),
            ),
            (vec![("host", "localhost")], Some(415)),
            (
                vec![
                    ("host", "localhost"),
                    ("content-type", "Application/JSON; charset=utf-8"),
                ],
                None,
            ),
        ] {
            assert_eq!(status(&access, &headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_key_is_asked_for_where_there_is_one() {
        let access = Access {
            hosts: Vec::new(),
            key: "secret".to_owned(),
        };
        for (sent, expected) in [
            ("Bearer secret", None),
            ("Bearer secrex", Some(401)),
            ("Bearer secret2", Some(401)),
            ("secret", Some(401)),
            ("", Some(401)),
        ] {
            let headers = [
                ("host", "localhost"),
                ("content-type", "application/json"),
                ("authorization", sent),
            ];
            assert_eq!(status(&access, &headers), expected, "{sent}");
        }
    }
}
