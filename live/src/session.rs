//! The rim of live trading: a feed, the kill-switch file, the journal and the paper broker around the pure engine.
//!
//! Each bar is a round: kill switch, fills at the open, the closed bar, what the engine makes of it, orders. A session on
//! a journal that already holds records goes through the same rounds again; each record derived must equal the one
//! journalled, and only what comes after the last is written, sent and told.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use artifacts::Bundle;
use brokers::{Broker as _, BrokerError, PaperBroker};
use market::{Bar, Instrument};
use models::{ModelError, Predictor, Sight, SightError};
use risk::{Approved, KillSwitch, Limits};
use spec::Digest;
use venue::{CostModel, Exchange, OrderIntent};

use crate::engine::{Action, Engine, EngineError, MarketEvent};
use crate::feed::Feed;
use crate::journal::{FORMAT, Header, Held, Journal, JournalError, Mark, Record};
use crate::script::{Difference, Script, Standing};

/// How this process runs a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The journal; created, or continued.
    pub journal: PathBuf,
    /// Trading stops while this file exists.
    pub kill_switch: PathBuf,
    /// First part of every client order id.
    pub session: String,
    /// Pre-trade limits.
    pub limits: Limits,
}

/// What an observer is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// A journal is being continued: this much was already done.
    Resumed {
        /// Bars gone through.
        bars: usize,
        /// Orders among them.
        orders: usize,
        /// Bytes of a torn record that were cut off.
        torn: u64,
    },
    /// The session was started or continued with this.
    Started(&'a Header),
    /// Something new was journalled.
    Recorded(&'a Record),
}

/// Is told of every event; `Break` ends the session after the running bar.
pub type Observer<'a> = dyn FnMut(&Event<'_>) -> ControlFlow<()> + 'a;

/// What a session came to, what was journalled before included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Bars.
    pub bars: usize,
    /// Decisions.
    pub decisions: usize,
    /// Orders sent.
    pub orders: usize,
    /// Executions.
    pub fills: usize,
    /// Orders that the limits stopped.
    pub refusals: usize,
    /// The account after each bar.
    pub marks: Vec<Mark>,
    /// Digest over orders, fills and cash: equal to a backtest's over the same bars.
    pub orders_hash: Option<Digest>,
}

/// Why a session cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The journal is unusable.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal belongs to a session with another set-up.
    #[error("{path}: this journal was started with another {field}; continue with the same one or name a new journal")]
    OtherSession {
        /// The journal.
        path: PathBuf,
        /// What differs.
        field: &'static str,
    },
    /// Going through the journal again gave something else.
    #[error("the journal cannot be continued: {0}")]
    Diverged(Box<Difference>),
    /// The kill-switch file cannot be looked for, so trading must not go on.
    #[error("{path}: cannot tell whether the kill switch is engaged")]
    KillSwitch {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bundle's network cannot see: its features or its encoder cannot be used.
    #[error(transparent)]
    Sight(#[from] SightError),
    /// The bundle's network cannot be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The engine cannot take an event in.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The broker refused.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Trades `feed` on paper with `bundle`, from the start or from where the journal ends.
///
/// # Errors
/// [`LiveError`]: nothing was sent that is not in the journal; running it again continues.
pub fn run(options: &Options, bundle: &Bundle, feed: Feed, observer: &mut Observer<'_>) -> Result<Summary, LiveError> {
    let header = header(options, bundle, &feed);
    let engine =
        Engine::new(header.clone(), Predictor::load(bundle)?, &Sight::load(bundle)?, &bundle.manifest().trial.task)?;
    let (mut journal, held) = Journal::open(&options.journal)?;
    match &held.header {
        None => journal.begin(&header)?,
        Some(found) => same_session(&options.journal, found, &header)?,
    }
    let mut stop = observer(&Event::Started(&header)).is_break();
    if !held.records.is_empty() {
        stop |= observer(&resumed(&held)).is_break();
    }
    let bars = bars_to_go(&held.records, feed.bars);
    let costs = CostModel::new(header.env.costs.clone());
    let mut session = Session {
        engine,
        broker: PaperBroker::new(Exchange::new(header.instrument.clone(), costs)),
        instrument: header.instrument,
        journal,
        script: Script::new(held.records),
        observer,
        switch: KillSwitch::Clear,
        summary: Summary::default(),
    };
    for bar in bars {
        if stop && session.script.peek().is_none() {
            break;
        }
        stop |= session.round(&options.kill_switch, bar)?.is_break();
    }
    session.journal.sync()?;
    session.summary.orders_hash = Some(session.engine.orders_hash());
    Ok(session.summary)
}

fn header(options: &Options, bundle: &Bundle, feed: &Feed) -> Header {
    Header {
        format: FORMAT,
        session: options.session.clone(),
        bundle: bundle.id(),
        instrument: Instrument::share(feed.symbol.clone()),
        interval: feed.interval,
        env: bundle.manifest().trial.env.clone(),
        strategy: bundle.manifest().trial.strategy.clone(),
        limits: options.limits.clone(),
    }
}

/// Refuses to continue a session with another set-up: its past decisions would not follow from it.
fn same_session(path: &Path, found: &Header, wanted: &Header) -> Result<(), LiveError> {
    let differs = [
        ("session name", found.session != wanted.session),
        ("bundle", found.bundle != wanted.bundle),
        ("symbol or interval", (&found.instrument, found.interval) != (&wanted.instrument, wanted.interval)),
        ("env or strategy", (&found.env, &found.strategy) != (&wanted.env, &wanted.strategy)),
        ("set of limits", found.limits != wanted.limits),
    ];
    match differs.into_iter().find(|(_, differs)| *differs) {
        Some((field, _)) => Err(LiveError::OtherSession { path: path.to_owned(), field }),
        None => Ok(()),
    }
}

fn resumed(held: &Held) -> Event<'_> {
    let count = |wanted: fn(&Record) -> bool| held.records.iter().filter(|record| wanted(record)).count();
    Event::Resumed {
        bars: count(|record| matches!(record, Record::Bar(_))),
        orders: count(|record| matches!(record, Record::Order(_))),
        torn: held.torn,
    }
}

/// The journalled bars, then those of the feed that come after them.
fn bars_to_go(records: &[Record], feed: Vec<Bar>) -> Vec<Bar> {
    let mut bars: Vec<Bar> =
        records.iter().filter_map(|record| if let Record::Bar(bar) = record { Some(*bar) } else { None }).collect();
    let last = bars.last().map(|bar| bar.time);
    bars.extend(feed.into_iter().filter(|bar| last.is_none_or(|last| bar.time > last)));
    bars
}

struct Session<'a, 'o> {
    engine: Engine,
    broker: PaperBroker,
    instrument: Instrument,
    journal: Journal,
    script: Script,
    observer: &'a mut Observer<'o>,
    switch: KillSwitch,
    summary: Summary,
}

impl Session<'_, '_> {
    /// One bar, from the operator's word to the order for the next open.
    fn round(&mut self, kill_switch: &Path, bar: Bar) -> Result<ControlFlow<()>, LiveError> {
        let mut stop = ControlFlow::Continue(());
        let mut note = |flow: ControlFlow<()>| {
            if flow.is_break() {
                stop = flow;
            }
        };
        let switch = self.kill_switch(kill_switch)?;
        if switch != self.switch {
            self.switch = switch;
            note(self.take(MarketEvent::KillSwitch(switch))?);
        }
        let price = self.instrument.price(bar.open);
        let open = price.map_err(|source| EngineError::Price { time: bar.time, source })?;
        self.broker.on_open(bar.time, open);
        for fill in self.broker.poll() {
            note(self.take(MarketEvent::Fill(fill))?);
        }
        note(self.take(MarketEvent::Bar(bar))?);
        Ok(stop)
    }

    /// What the operator said at this point: as journalled, or else now.
    fn kill_switch(&mut self, path: &Path) -> Result<KillSwitch, LiveError> {
        match self.script.peek() {
            Some(Record::KillSwitch(switch)) => Ok(*switch),
            Some(_) => Ok(self.switch),
            None => read_kill_switch(path),
        }
    }

    /// Lets the engine take an event in, writes both down and sends what it orders.
    fn take(&mut self, event: MarketEvent) -> Result<ControlFlow<()>, LiveError> {
        let actions = self.engine.on(&event)?;
        let mut flow = self.record(&event.into())?;
        for action in actions {
            let told = self.record(&action.record())?;
            if told.is_break() {
                flow = told;
            }
            if let Action::Order(approved) = action {
                let told = self.send(approved)?;
                if told.is_break() {
                    flow = told;
                }
            }
        }
        Ok(flow)
    }

    /// Sends an order, which must be durable first: a crash in between repeats the same order id, never another order.
    fn send(&mut self, approved: Approved<OrderIntent>) -> Result<ControlFlow<()>, LiveError> {
        self.journal.sync()?;
        let order = approved.get().client_order_id.clone();
        self.broker.submit(approved)?;
        self.record(&Record::Ack(order))
    }

    /// Checks a record against the journal; past its end, appends it and tells the observer.
    fn record(&mut self, record: &Record) -> Result<ControlFlow<()>, LiveError> {
        self.summary.count(record);
        match self.script.expect(record).map_err(LiveError::Diverged)? {
            Standing::Journalled => Ok(ControlFlow::Continue(())),
            Standing::New => {
                self.journal.append(record)?;
                Ok((self.observer)(&Event::Recorded(record)))
            }
        }
    }
}

impl Summary {
    fn count(&mut self, record: &Record) {
        match record {
            Record::Bar(_) => self.bars += 1,
            Record::Decision(_) => self.decisions += 1,
            Record::Order(_) => self.orders += 1,
            Record::Fill(_) => self.fills += 1,
            Record::Refusal(_) => self.refusals += 1,
            Record::Mark(mark) => self.marks.push(*mark),
            Record::KillSwitch(_)
            | Record::Prediction(_)
            | Record::Confidence(_)
            | Record::Alarm(_)
            | Record::Ack(_) => {}
        }
    }
}

impl From<MarketEvent> for Record {
    fn from(event: MarketEvent) -> Self {
        match event {
            MarketEvent::Bar(bar) => Self::Bar(bar),
            MarketEvent::Fill(fill) => Self::Fill(fill),
            MarketEvent::KillSwitch(switch) => Self::KillSwitch(switch),
        }
    }
}

/// No file: clear. A file that says `reduce_only`: that. Any other file: halted.
fn read_kill_switch(path: &Path) -> Result<KillSwitch, LiveError> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim() == "reduce_only" => Ok(KillSwitch::ReduceOnly),
        Ok(_) => Ok(KillSwitch::Halted),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KillSwitch::Clear),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(KillSwitch::Halted),
        Err(source) => Err(LiveError::KillSwitch { path: path.to_owned(), source }),
    }
}
