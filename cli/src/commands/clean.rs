//! `clean`: checkpoints that no trial of this home can need any more.

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::exit::Exit;

/// What became of the checkpoints in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cleaned {
    pub(crate) deleted: usize,
    pub(crate) kept: usize,
}

/// Deletes and says how many.
pub(crate) fn clean(context: &Context) -> Result<Exit> {
    let Cleaned { deleted, kept } = collect(context)?;
    context.show(&json!({ "checkpoints": { "deleted": deleted, "kept": kept } }), || {
        format!("{deleted} checkpoints deleted, {kept} kept")
    })?;
    Ok(Exit::Ok)
}

/// Deletes what the journal of this home names as surplus; whatever it does not name is left alone.
pub(crate) fn collect(context: &Context) -> Result<Cleaned> {
    let store = context.home.store()?;
    let there = store.checkpoints()?;
    if there.is_empty() {
        return Ok(Cleaned { deleted: 0, kept: 0 });
    }
    let surplus = scheduler::surplus(context.home.path())?;
    let (gone, kept): (Vec<_>, Vec<_>) = there.into_iter().partition(|digest| surplus.contains(digest));
    for digest in &gone {
        store.delete_checkpoint(*digest)?;
    }
    Ok(Cleaned { deleted: gone.len(), kept: kept.len() })
}
