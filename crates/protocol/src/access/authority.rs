//! The private authority of one scheduler: it signs the scheduler's certificate and those of its members, nothing else.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use market::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SignatureAlgorithm,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use crate::access::private::write_private;
use crate::access::roll::PublicKey;
use crate::access::{AccessError, damaged, file_error};

/// The name in the scheduler's certificate. The authority signs one scheduler alone, so no address need stand in it.
pub(crate) const SERVER_NAME: &str = "scheduler.tradewind.internal";

/// Clocks may differ by this much before a certificate is refused: how long a member stays is judged by the scheduler's.
const SKEW: Duration = Duration::from_secs(86_400);

/// The scheduler's certificate is made anew at each of its starts.
const SERVER_LIFE: Duration = Duration::from_secs(10 * 366 * 86_400);

/// What comes before the 32 bytes of a key of Ed25519 in a certificate (RFC 8410).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        self.bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl PublicKey {
    /// The key of a certificate; `None` when it is of another kind than this authority signs.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let info = ParsedCertificate::try_from(certificate).ok()?.subject_public_key_info();
        Self::from_bytes(info.strip_prefix(&ED25519_PREFIX)?)
    }

    /// The key of a pair.
    pub(crate) fn of_pair(pair: &KeyPair) -> Option<Self> {
        Self::from_bytes(pair.public_key_raw())
    }
}

impl Authority {
    /// The authority whose key lies at `path`, made when there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, AccessError> {
        let key = match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(|error| damaged(path, error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| damaged(path, error))?;
                let pem = Zeroizing::new(key.serialize_pem());
                write_private(path, &pem).map_err(file_error(path))?;
                key
            }
            Err(error) => return Err(file_error(path)(error)),
        };
        // What is trusted is name and key, so the certificate around them can be made anew from the key alone.
        let mut params = named("tradewind authority", None).map_err(|error| damaged(path, error))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(|error| damaged(path, error))?;
        let pem = certificate.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate: certificate.into(), pem })
    }

    /// Its own certificate: what a member trusts.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for the holder of `key`, for people called `name`.
    pub(crate) fn sign(
        &self,
        name: &str,
        key: &PublicKey,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<String, AccessError> {
        let signed = named(name, None).and_then(|mut params| {
            params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(from).saturating_sub(SKEW);
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(until).saturating_add(SKEW);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.signed_by(key, &self.issuer)
        });
        signed.map(|certificate| certificate.pem()).map_err(|error| AccessError::Tls(error.to_string()))
    }

    /// What meets the callers: TLS 1.3 with a certificate of its own, and a look at theirs. A caller without one gets as far
    /// as joining; one with a certificate of another authority gets nowhere.
    pub(crate) fn acceptor(&self, now: Timestamp) -> Result<TlsAcceptor, AccessError> {
        let failed = |error: &dyn std::fmt::Display| AccessError::Tls(error.to_string());
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| failed(&error))?;
        let certificate = named("tradewind scheduler", Some(SERVER_NAME)).and_then(|mut params| {
            params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(now).saturating_sub(SKEW);
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(now).saturating_add(SERVER_LIFE);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.signed_by(&key, &self.issuer)
        });
        let certificate = certificate.map_err(|error| failed(&error))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(self.verifier()?)
            .with_single_cert(vec![certificate.into()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .map_err(|error| failed(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks at the certificates of callers.
    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, AccessError> {
        let failed = |error: &dyn std::fmt::Display| AccessError::Tls(error.to_string());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|error| failed(&error))?;
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| failed(&error))
    }
}

fn named(common_name: &str, host: Option<&str>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(host.map(str::to_owned).into_iter().collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(at.micros()).unwrap_or_default())
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Fresh randomness.
pub(crate) fn random() -> Result<[u8; 32], AccessError> {
    let mut bytes = [0; 32];
    let filled = provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| AccessError::Tls("the operating system gives no randomness".to_owned()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::pki_types::UnixTime;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::access::Identity;

    const NOON: i64 = 1_700_000_000;
    const HOUR: i64 = 3_600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    /// What `authority` says of `certificate` by a clock that shows `seconds`.
    fn verified(authority: &Authority, certificate: &str, seconds: i64) -> bool {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds.unsigned_abs()));
        authority.verifier().unwrap().verify_client_cert(&der, &[], now).is_ok()
    }

    #[test]
    fn clocks_may_differ_by_minutes_and_a_certificate_still_ends() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(&folder.path().join("authority.key")).unwrap();
        let (_, key) = Identity::draw().unwrap();
        let certificate = authority.sign("box-1", &key, (at(NOON), at(NOON + HOUR))).unwrap();
        for minutes in [-30, 0, 30, 75] {
            assert!(verified(&authority, &certificate, NOON + minutes * 60), "{minutes} minutes");
        }
        for days in [-2, 2] {
            assert!(!verified(&authority, &certificate, NOON + days * 24 * HOUR), "{days} days");
        }
    }

    #[test]
    fn an_authority_is_its_key_and_knows_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authority.key");
        let (_, key) = Identity::draw().unwrap();
        let certificate = Authority::open(&path).unwrap().sign("a", &key, (at(NOON), at(NOON + HOUR))).unwrap();
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        assert_eq!(PublicKey::of(&der), Some(key));
        assert!(verified(&Authority::open(&path).unwrap(), &certificate, NOON), "after a restart");
        let other = Authority::open(&folder.path().join("other.key")).unwrap();
        assert!(!verified(&other, &certificate, NOON));
    }
}
