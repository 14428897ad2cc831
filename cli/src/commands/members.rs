//! `token` and `join`: who belongs to a cluster, and how a machine becomes a part of it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use protocol::{Invitation, MemberView};
use serde_json::json;
use spec::{Owner, Span};

use crate::args::{Create, Join, Token};
use crate::commands::cluster::connect;
use crate::commands::{Context, runtime};
use crate::exit::{Exit, bad_input};
use crate::view::table::{Column, render};

/// Longest wait for a scheduler that is being restarted.
const PATIENCE: Span = Span::from_secs(10);

/// Invites, lists and revokes.
pub(crate) fn token(context: &Context, token: &Token) -> Result<Exit> {
    match token {
        Token::Create(options) => create(context, options),
        Token::List { scheduler } => list(context, scheduler.as_deref()),
        Token::Revoke { name, scheduler } => revoke(context, name, scheduler.as_deref()),
    }
}

/// Writes an invitation. The token shows nowhere but in its file.
fn create(context: &Context, options: &Create) -> Result<Exit> {
    let path = options.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.join", options.name)));
    if path.try_exists().with_context(|| format!("{} cannot be looked at", path.display()))? {
        return Err(bad_input(format!("{} is there already: choose another file with --out", path.display())));
    }
    let view = runtime()?.block_on(async {
        let client = connect(context, options.scheduler.as_deref()).await?;
        let (view, mut invitation) = client.invite(&options.name, options.role, options.expires).await?;
        if let Some(url) = &options.url {
            invitation.scheduler.clone_from(url);
        }
        if let Err(error) = invitation.write(&path) {
            // Nobody will ever hold its token.
            client.revoke(&options.name).await?;
            return Err(error.into());
        }
        Ok::<_, anyhow::Error>(view)
    })?;
    context.show(&json!({ "member": view, "file": path }), || {
        format!(
            "{} may join as {} until {}: carry {} there in secret and say `tradewind join {}`; it is good once",
            view.name,
            view.role,
            view.expires,
            path.display(),
            path.file_name().map_or(path.as_path(), Path::new).display()
        )
    })?;
    Ok(Exit::Ok)
}

fn list(context: &Context, scheduler: Option<&str>) -> Result<Exit> {
    let members =
        runtime()?.block_on(async { Ok::<_, anyhow::Error>(connect(context, scheduler).await?.members().await?) })?;
    context.show(&json!({ "members": members }), || table(&members))?;
    Ok(Exit::Ok)
}

fn table(members: &[MemberView]) -> String {
    if members.is_empty() {
        return "no member yet: `tradewind token create` invites one".to_owned();
    }
    let columns = [
        Column::Text("name"),
        Column::Text("role"),
        Column::Text("state"),
        Column::Text("invited"),
        Column::Text("until"),
    ];
    let rows = members.iter().map(|view| {
        vec![
            view.name.to_string(),
            view.role.to_string(),
            view.state.as_str().to_owned(),
            view.granted.to_string(),
            view.expires.to_string(),
        ]
    });
    render(&columns, rows)
}

fn revoke(context: &Context, name: &Owner, scheduler: Option<&str>) -> Result<Exit> {
    let view = runtime()?
        .block_on(async { Ok::<_, anyhow::Error>(connect(context, scheduler).await?.revoke(name).await?) })?;
    context.show(&json!({ "member": view }), || format!("{} is revoked: its next call is refused", view.name))?;
    Ok(Exit::Ok)
}

/// Makes this home a member.
pub(crate) fn join(context: &Context, options: &Join) -> Result<Exit> {
    let path = scheduler::identity_path(context.home.path());
    if path.try_exists().with_context(|| format!("{} cannot be looked at", path.display()))? {
        return Err(bad_input(format!(
            "this home belongs to a scheduler already ({}): use another --home, or delete that file to leave",
            path.display()
        )));
    }
    let mut invitation = Invitation::read(&options.invitation).map_err(bad_input)?;
    if let Some(url) = &options.scheduler {
        invitation.scheduler.clone_from(url);
    }
    let identity = runtime()?.block_on(protocol::join(&invitation, PATIENCE))?;
    identity.write(&path)?;
    let url = &invitation.scheduler;
    let (name, role) = identity.member().context("who joins is a member")?;
    context.show(&json!({ "member": name, "role": role, "scheduler": url, "identity": path }), || {
        format!("{name} joined {url} as {role}: commands of this home reach it without --scheduler")
    })?;
    Ok(Exit::Ok)
}
