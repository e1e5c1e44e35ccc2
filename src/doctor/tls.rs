//! Trust in certificates, and what is wrong with one in plain words. The only user of rustls.

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, StreamOwned};
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A TLS connection over TCP.
pub(super) type Stream = StreamOwned<ClientConnection, TcpStream>;
/// What a connection trusts.
pub(super) type Trust = Arc<ClientConfig>;

/// Trusts the public authorities, or the one in a PEM file instead.
pub(super) fn trusting(authority: Option<&Path>) -> Result<Trust, String> {
    trusting_at(authority, None)
}

/// The same at another time, since 1970 UTC.
pub(super) fn trusting_at(authority: Option<&Path>, time: Option<Duration>) -> Result<Trust, String> {
    let mut roots = RootCertStore::empty();
    match authority {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let cannot = |error: &dyn std::fmt::Display| format!("cannot use {}: {error}", path.display());
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| cannot(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| cannot(&error))?;
                roots.add(certificate).map_err(|error| cannot(&error))?;
            }
            if roots.is_empty() {
                return Err(cannot(&"there is no certificate in it"));
            }
        }
    }
    let config = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(Clock { time }));
    let config = config.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// The system's clock, or one that stands still.
#[derive(Debug)]
struct Clock {
    time: Option<Duration>,
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.time.map_or_else(UnixTime::now, UnixTime::since_unix_epoch))
    }
}

/// Which part of its life a certificate has left: one at its beginning, zero at its end. `handshake` tries
/// one with the trust that it is given; the errors of one before and of one after all times tell when that
/// life begins and ends.
pub(super) fn life_left(
    authority: Option<&Path>,
    mut handshake: impl FnMut(Trust) -> Option<TlsError>,
) -> Option<f64> {
    let mut error_at = |time| handshake(trusting_at(authority, Some(time)).ok()?);
    let Some(TlsError::NotYetValid(begin)) = error_at(Duration::ZERO) else { return None };
    let Some(TlsError::Expired(end)) = error_at(END_OF_TIME) else { return None };
    let now = since_1970(UnixTime::now());
    let life = end.checked_sub(begin)?.as_secs_f64();
    Some(end.saturating_sub(now).as_secs_f64() / life.max(1.0))
}

fn since_1970(time: UnixTime) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// Does the handshake with `host`, which may be an address.
pub(super) fn connect(stream: TcpStream, host: &str, trust: &Trust) -> Result<Stream, TlsError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name)?;
    let connection = ClientConnection::new(Arc::clone(trust), name).map_err(|_| TlsError::Name)?;
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(TlsError::from)?;
    }
    Ok(stream)
}

/// Why a TLS handshake failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TlsError {
    /// The certificate has expired, at this time since 1970 UTC.
    Expired(Duration),
    /// The certificate is not valid before this time.
    NotYetValid(Duration),
    /// The certificate is not signed by a known authority.
    UnknownIssuer,
    /// The certificate is for another name.
    Name,
    /// The peer does not speak TLS.
    NotTls,
    /// The peer has ended the handshake, or did not go on.
    Refused(String),
    /// Anything else that is wrong with the certificate.
    Certificate(String),
}

impl TlsError {
    /// What is wrong, and what to do.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Expired(_) => "the certificate has expired: renew it, and let the proxy load it".to_owned(),
            Self::NotYetValid(_) => {
                "the certificate is not valid yet: check the clocks of both machines".to_owned()
            }
            Self::UnknownIssuer => {
                "no public authority has signed the certificate: let the proxy send the whole \
                                    chain (fullchain.pem), or give your own authority with --ca"
                    .to_owned()
            }
            Self::Name => "the certificate is for another name: get one for this name".to_owned(),
            Self::NotTls => {
                "no TLS is spoken there: let the proxy listen with TLS on this port, or say http://"
                    .to_owned()
            }
            Self::Refused(error) => {
                format!("the handshake was not finished ({error}): look into the proxy's log")
            }
            Self::Certificate(error) => format!("the certificate is not good: {error}"),
        }
    }
}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return Self::Refused(error.to_string());
        };
        match cause {
            Error::InvalidCertificate(error) => match error {
                CertificateError::ExpiredContext { not_after, .. } => Self::Expired(since_1970(*not_after)),
                CertificateError::NotValidYetContext { not_before, .. } => {
                    Self::NotYetValid(since_1970(*not_before))
                }
                CertificateError::UnknownIssuer => Self::UnknownIssuer,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::Name
                }
                other => Self::Certificate(other.to_string()),
            },
            Error::InvalidMessage(_) => Self::NotTls,
            other => Self::Refused(other.to_string()),
        }
    }
}

/// After every date that a certificate can have: 9999-12-31T23:59:59Z, and a second more (RFC 5280, section
/// 4.1.2.5).
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_801);

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::thread;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
    }

    /// What a handshake with a server that has this certificate comes to.
    fn handshake(certificate: &str, host: &str, trust: &Trust) -> Result<(), TlsError> {
        let chain = vec![CertificateDer::from_pem_file(file(&format!("{certificate}.pem"))).unwrap()];
        let key = PrivateKeyDer::from_pem_file(file(&format!("{certificate}.key"))).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let serving = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
            // Ends with the client.
            let _ended = tls.read(&mut [0]);
        });
        let result = connect(stream, host, trust).map(drop);
        serving.join().unwrap();
        result
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_apart() {
        let ca = file("ca.pem");
        let ours = trusting(Some(&ca)).unwrap();
        // 2020-01-01, 2021-01-01 and 2120-01-01.
        let [begin, early_end, end] = [1_577_836_800, 1_609_459_200, 4_733_510_400].map(Duration::from_secs);
        let late = trusting_at(Some(&ca), Some(end + Duration::from_secs(1))).unwrap();
        let early = trusting_at(Some(&ca), Some(begin.saturating_sub(Duration::from_secs(1)))).unwrap();
        let public = trusting(None).unwrap();
        for (certificate, host, trust, expected) in [
            ("good", "chat.example", &ours, Ok(())),
            ("good", "127.0.0.1", &ours, Ok(())),
            ("good", "other.example", &ours, Err(TlsError::Name)),
            ("good", "::1", &ours, Err(TlsError::Name)),
            ("good", "chat.example", &late, Err(TlsError::Expired(end))),
            ("good", "chat.example", &early, Err(TlsError::NotYetValid(begin))),
            ("good", "chat.example", &public, Err(TlsError::UnknownIssuer)),
            ("expired", "chat.example", &ours, Err(TlsError::Expired(early_end))),
            ("other-name", "chat.example", &ours, Err(TlsError::Name)),
        ] {
            assert_eq!(handshake(certificate, host, trust), expected, "{certificate} for {host}");
        }
    }

    #[test]
    fn the_life_of_a_certificate_is_learned_from_handshakes() {
        let ca = file("ca.pem");
        let left = |certificate: &str| {
            life_left(Some(&ca), |trust| handshake(certificate, "chat.example", &trust).err())
        };
        let good = left("good").unwrap();
        assert!(good > 0.5 && good < 1.0, "a hundred years from 2020 on: {good}");
        assert_eq!(left("expired"), Some(0.0));
    }

    #[test]
    fn a_peer_that_speaks_no_tls_is_known() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], Err(TlsError::NotTls)),
            (b"", Err(TlsError::Refused("unexpected end of file".to_owned()))),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(bytes).unwrap();
            peer.shutdown(std::net::Shutdown::Write).unwrap();
            let result = connect(stream, "chat.example", &trusting(None).unwrap()).map(drop);
            assert_eq!(result, expected);
        }
    }

    #[test]
    fn a_file_without_an_authority_is_refused() {
        for name in ["good.key", "README.md", "missing.pem"] {
            let error = trusting(Some(&file(name))).map(drop).unwrap_err();
            assert!(error.starts_with("cannot use ") && error.contains(name), "{error}");
        }
    }
}
