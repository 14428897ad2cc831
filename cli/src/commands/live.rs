//! `live` and `replay`.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use live::Outcome;
use live::feed::{Feed, Source};
use live::journal::{Mark, Record};
use live::session::{Event, LiveError, Options, Summary};
use market::{BasisPoints, Instrument, Money};
use models::{Chosen, Sight};
use risk::Limits;
use serde_json::json;

use crate::args::Live;
use crate::commands::{Audience, Context, chosen, interrupted, runtime};
use crate::exit::{Exit, bad_input};
use crate::view::line;

/// Trades a registered model on paper over replayed bars.
pub(crate) fn live(context: &Context, options: &Live) -> Result<Exit> {
    let chosen = chosen(context, &options.model, options.fallback.as_deref())?;
    let Chosen { bundle, model, reference, .. } = &chosen;
    let id = bundle.id();
    let Source::Replay(file) = options.feed.parse().map_err(bad_input)?;
    let path = dataset::resolve(context.home.path(), &file.to_string_lossy());
    let trial = &bundle.manifest().trial;
    let symbol = trial.data.symbols.first().context("the bundle names no symbol")?;
    let after = Sight::load(bundle)?.features().at;
    let feed = Feed::replay(&path, symbol, (trial.data.interval, &trial.data.repairs), after).map_err(bad_input)?;
    let folder = context.home.live();
    let settings = Options {
        journal: options.journal.clone().unwrap_or_else(|| folder.join(format!("{model}-{}.journal", id.short()))),
        kill_switch: options.kill_switch.clone().unwrap_or_else(|| folder.join("KILL")),
        session: format!("{model}-{}", id.short()),
        limits: Limits {
            position_max: BasisPoints(options.position_max_bps),
            order_max: Money::units(options.order_max),
            daily_loss_max: Money::units(options.daily_loss_max),
        },
    };
    make_folder(&settings.journal)?;
    context.say(format!("paper trading {reference} with bundle {id}"));
    context.say(format!("{} bars before the bundle's state are skipped, {} to go", feed.skipped, feed.bars.len()));

    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let runtime = runtime()?;
    runtime.spawn(async move {
        interrupted().await;
        flag.store(true, Ordering::Relaxed);
    });
    let mut tape = Tape { context, instrument: Instrument::share(symbol.clone()), month: String::new(), filled: false };
    let summary = live::session::run(&settings, bundle, feed, &mut |event| {
        tape.tell(event);
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let summary = summary.map_err(|error| ended(error, &chosen, &options.model))?;
    context.show(&object(&settings, &summary), || closing(&settings, &summary))?;
    Ok(if stop.load(Ordering::Relaxed) { Exit::Interrupted } else { Exit::Ok })
}

/// A journal goes on with the bundle that began it: whoever takes its place needs one of its own.
fn ended(error: LiveError, chosen: &Chosen, asked: &str) -> anyhow::Error {
    match &error {
        LiveError::OtherSession { path, field: "session name" | "bundle" } if chosen.instead.is_some() => {
            let (path, reference) = (path.display(), &chosen.reference);
            bad_input(format!(
                "{path}: this journal was begun with another bundle than {reference}, which takes the place of \
                 {asked}: leave --journal out, or name another one; this one goes on when {asked} works again"
            ))
        }
        LiveError::OtherSession { .. }
        | LiveError::Journal(_)
        | LiveError::Diverged(_)
        | LiveError::KillSwitch { .. }
        | LiveError::Sight(_)
        | LiveError::Model(_)
        | LiveError::Engine(_)
        | LiveError::Broker(_) => error.into(),
    }
}

fn make_folder(journal: &Path) -> Result<()> {
    let Some(folder) = journal.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    std::fs::create_dir_all(folder).with_context(|| format!("folder {} cannot be made", folder.display()))
}

fn object(settings: &Options, summary: &Summary) -> serde_json::Value {
    let last = summary.marks.last();
    json!({
        "journal": settings.journal, "bars": summary.bars, "decisions": summary.decisions, "orders": summary.orders,
        "fills": summary.fills, "refusals": summary.refusals, "orders_hash": summary.orders_hash,
        "equity": last.map(|mark| mark.equity.to_string()), "cash": last.map(|mark| mark.cash.to_string()),
        "position": last.map(|mark| mark.position),
    })
}

fn closing(settings: &Options, summary: &Summary) -> String {
    let equity = summary.marks.last().map_or_else(|| "-".to_owned(), |mark| mark.equity.to_string());
    format!(
        "{} bars, {} decisions, {} orders, {} fills, {} refusals; equity {equity}\njournal {}",
        summary.bars,
        summary.decisions,
        summary.orders,
        summary.fills,
        summary.refusals,
        settings.journal.display()
    )
}

/// Prints orders, fills and refusals as they come, and the account after a fill and at the first bar of each month.
struct Tape<'a> {
    context: &'a Context,
    instrument: Instrument,
    month: String,
    filled: bool,
}

impl Tape<'_> {
    fn tell(&mut self, event: &Event<'_>) {
        if self.context.audience == Audience::Machines {
            return;
        }
        match event {
            Event::Started(_) => {
                line(format_args!(
                    "{:<12}{:<8}{:>6}{:>12}{:>14}{:>16}",
                    "bar", "event", "side", "lots", "price", "equity"
                ));
            }
            Event::Resumed { bars, orders, torn } => {
                line(format_args!(
                    "journal continued after {bars} bars and {orders} orders; {torn} torn bytes were cut off"
                ));
            }
            Event::Recorded(record) => self.record(record),
        }
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Order(order) => {
                let side = format!("{:?}", order.side).to_lowercase();
                line(format_args!("{:<12}{:<8}{side:>6}{:>12}", order.decided.date(), "order", order.quantity.0));
            }
            Record::Fill(fill) => {
                let side = format!("{:?}", fill.side).to_lowercase();
                self.filled = true;
                let price = self.instrument.price_as_f64(fill.price);
                line(format_args!(
                    "{:<12}{:<8}{side:>6}{:>12}{price:>14.4}",
                    fill.time.date(),
                    "fill",
                    fill.quantity.0
                ));
            }
            Record::Refusal(refusal) => line(format_args!("{:<12}{refusal}", refusal.intent.decided.date())),
            Record::Alarm(alarm) => line(format_args!("{:<12}{alarm:?}", "alarm")),
            Record::Mark(mark) => self.mark(mark),
            Record::Bar(_)
            | Record::KillSwitch(_)
            | Record::Prediction(_)
            | Record::Confidence(_)
            | Record::Decision(_)
            | Record::Ack(_) => {}
        }
    }

    fn mark(&mut self, mark: &Mark) {
        let month: String = mark.time.date().chars().take(7).collect();
        if month != self.month || std::mem::take(&mut self.filled) {
            self.month = month;
            let (date, held) = (mark.time.date(), mark.position.0);
            line(format_args!("{date:<12}{:<8}{:>6}{held:>12}{:>14}{:>16}", "equity", "", "", mark.equity.to_string()));
        }
    }
}

/// Derives every decision of a journal again, inference included.
pub(crate) fn replay(context: &Context, journal: &Path) -> Result<Exit> {
    let store = context.home.store()?;
    let outcome = live::replay(journal, |bundle| store.get_bundle(bundle))?;
    let object = match &outcome {
        Outcome::Identical { bars, decisions, orders } => {
            json!({ "identical": true, "bars": bars, "decisions": decisions, "orders": orders })
        }
        Outcome::Differs(difference) => json!({ "identical": false, "difference": difference }),
    };
    context.show(&object, || match &outcome {
        Outcome::Identical { bars, decisions, orders } => {
            format!("100 % identical: {bars} bars, {decisions} decisions, {orders} orders derived again to the bit")
        }
        Outcome::Differs(difference) => format!("not identical: {difference}"),
    })?;
    Ok(match outcome {
        Outcome::Identical { .. } => Exit::Ok,
        Outcome::Differs(_) => Exit::Failed,
    })
}
