//! The door: where the holder of an invitation becomes a member.

use std::sync::Arc;

use spec::{Owner, Span};
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};

use crate::access::{Access, Identity, Invitation, PublicKey, Role, Token};
use crate::client::{CALL, ClientError, heard};
use crate::generated as wire;
use crate::generated::door_client::DoorClient;
use crate::generated::door_server::Door;
use crate::refusals::Refusal;
use crate::wire::{Malformed, parse};

/// Wait between two tries to join.
const RETRY_PAUSE: Span = Span::from_millis(250);

pub(crate) struct Porter(pub(crate) Arc<Access>);

#[tonic::async_trait]
impl Door for Porter {
    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<wire::JoinReply>, Status> {
        let wire::JoinRequest { token, key } = request.into_inner();
        let token = Token::parse(&token).ok_or(Refusal::Unauthenticated)?;
        let key = PublicKey::from_bytes(&key).ok_or_else(|| Malformed::new("key", "a key of Ed25519 has 32 bytes"))?;
        let (name, role, certificate) = self.0.join(&token, key)?;
        Ok(Response::new(wire::JoinReply { name: name.into(), role: role.as_str().to_owned(), certificate }))
    }
}

/// Joins the scheduler of `invitation`: draws a key, and lets the scheduler sign it. Tries again until `patience` is over.
///
/// # Errors
/// [`Refusal::Unauthenticated`], [`Refusal::Spent`], [`Refusal::Expired`] or [`Refusal::Revoked`] by the invitation; else
/// [`ClientError`].
pub async fn join(invitation: &Invitation, patience: Span) -> Result<Identity, ClientError> {
    let url = &invitation.scheduler;
    let endpoint = Endpoint::from_shared(url.clone())
        .ok()
        .filter(|endpoint| endpoint.uri().scheme_str() == Some("https") && endpoint.uri().host().is_some())
        .ok_or_else(|| ClientError::Address { url: url.clone() })?;
    let endpoint = endpoint
        .connect_timeout(CALL)
        .tls_config(invitation.tls())
        .map_err(|error| ClientError::Untrusted { url: url.clone(), why: error.to_string() })?;
    let (pair, key) = Identity::draw()?;
    // The same key at each try: an answer that was lost costs no invitation.
    let mut waited = Span::default();
    let reply = loop {
        let request = wire::JoinRequest { token: invitation.token.expose().to_owned(), key: key.bytes().to_vec() };
        let mut request = Request::new(request);
        request.set_timeout(CALL);
        let asked = heard(url, DoorClient::new(endpoint.connect_lazy()).join(request).await);
        match asked {
            Err(error) if error.is_transient() && waited < patience => {}
            answered => break answered?,
        }
        tokio::time::sleep(RETRY_PAUSE.as_duration()).await;
        waited = Span::from_millis(waited.millis() + RETRY_PAUSE.millis());
    };
    let member = || Ok::<(Owner, Role), Malformed>((parse("name", &reply.name)?, parse("role", &reply.role)?));
    let member = member().map_err(|error| ClientError::Malformed { url: url.clone(), why: error.to_string() })?;
    Ok(Identity::joined(invitation, &pair, member, reply.certificate))
}
