//! Decides, and touches nothing: events in, actions out.
//!
//! A bar closes → features → prediction → decision → order for the next bar's open, exactly as in the backtest. State is
//! a function of the header and the events so far, so the journal's inputs rebuild it.

use dataset::outcome::Directions;
use features::{FeatureError, observation};
use market::{Bar, InstrumentError, Money, Price, Timestamp};
use models::{Adaptive, LookError, ModelError, Predictor, Sight, SightStream, Uncertainty};
use portfolio::{Portfolio, Tape};
use risk::{Approved, Context, Gate, KillSwitch, Refusal};
use spec::{BundleId, Confidence, Decision, Digest, Prediction, Reason, TaskSpec};
use venue::{ClientOrderId, CostModel, Fill, OrderIntent};

use crate::journal::{Alarm, Header, Mark, Record};

/// What happens to a session.
#[derive(Clone, Debug, PartialEq)]
pub enum MarketEvent {
    /// A bar closed.
    Bar(Bar),
    /// The broker executed an order.
    Fill(Fill),
    /// Someone touched the kill switch.
    KillSwitch(KillSwitch),
}

/// What the engine makes of an event, in order.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// The account after the bar.
    Mark(Mark),
    /// What the network said.
    Prediction(Prediction),
    /// How far to trust it.
    Confidence(Confidence),
    /// The exposure wanted.
    Decision(Decision),
    /// Send this, once it is journalled.
    Order(Approved<OrderIntent>),
    /// The limits stopped an order.
    Refusal(Box<Refusal>),
    /// Someone should look.
    Alarm(Alarm),
}

impl Action {
    /// What the journal keeps of it.
    #[must_use]
    pub fn record(&self) -> Record {
        match self {
            Self::Mark(mark) => Record::Mark(*mark),
            Self::Prediction(prediction) => Record::Prediction(prediction.clone()),
            Self::Confidence(confidence) => Record::Confidence(*confidence),
            Self::Decision(decision) => Record::Decision(decision.clone()),
            Self::Order(approved) => Record::Order(approved.get().clone()),
            Self::Refusal(refusal) => Record::Refusal((**refusal).clone()),
            Self::Alarm(alarm) => Record::Alarm(alarm.clone()),
        }
    }
}

/// Why the engine cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The bar is defective or out of order.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// A price is outside the instrument's range.
    #[error("bar {time} cannot be priced")]
    Price {
        /// The bar.
        time: Timestamp,
        /// What is wrong.
        source: InstrumentError,
    },
    /// The network failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An execution nobody asked for.
    #[error("a fill for order {0}, which is not outstanding: reconcile with the broker before trading on")]
    StrayFill(ClientOrderId),
    /// The bundle is not the header's.
    #[error("the session trades bundle {wanted}, but was given {given}")]
    OtherBundle {
        /// Of the header.
        wanted: BundleId,
        /// Of the predictor.
        given: BundleId,
    },
}

impl From<LookError> for EngineError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Feature(error) => Self::Feature(error),
            LookError::Encoder(error) => Self::Model(error),
        }
    }
}

/// The engine.
pub struct Engine {
    header: Header,
    predictor: Predictor,
    stream: SightStream,
    costs: CostModel,
    gate: Gate,
    portfolio: Portfolio,
    tape: Tape,
    switch: KillSwitch,
    /// The order that has not filled whole, with the lots it still wants.
    outstanding: Option<OrderIntent>,
    sequence: u64,
    observed: Vec<f32>,
    /// Of a calibrated bundle, with the directions it is told: state like all here, a function of the header and the events.
    adaptive: Option<(Adaptive, Directions)>,
}

impl Engine {
    /// An engine that has seen no event, with what it sees standing where the bundle left it. `task`: what the bundle was
    /// trained for.
    ///
    /// # Errors
    /// [`EngineError::OtherBundle`] when the predictor is not the header's.
    pub fn new(header: Header, predictor: Predictor, sight: &Sight, task: &TaskSpec) -> Result<Self, EngineError> {
        let (wanted, given) = (header.bundle, predictor.bundle());
        if wanted != given {
            return Err(EngineError::OtherBundle { wanted, given });
        }
        Ok(Self {
            stream: sight.resume(),
            costs: CostModel::new(header.env.costs.clone()),
            gate: Gate::new(header.limits.clone()),
            portfolio: Portfolio::new(Money::units(i64::from(header.env.cash))),
            tape: Tape::default(),
            switch: KillSwitch::Clear,
            outstanding: None,
            sequence: 0,
            observed: vec![0.0; predictor.input_width()],
            adaptive: adaptive(&predictor, task),
            header,
            predictor,
        })
    }

    /// Takes in an event and says what follows from it.
    ///
    /// # Errors
    /// [`EngineError`]: the event cannot be taken in; the session must stop.
    pub fn on(&mut self, event: &MarketEvent) -> Result<Vec<Action>, EngineError> {
        match event {
            MarketEvent::Bar(bar) => self.on_bar(bar),
            MarketEvent::Fill(fill) => self.on_fill(fill).map(|()| Vec::new()),
            MarketEvent::KillSwitch(switch) => Ok(self.on_kill_switch(*switch)),
        }
    }

    /// Digest of all orders, fills and cash so far.
    #[must_use]
    pub fn orders_hash(&self) -> Digest {
        self.tape.digest()
    }

    fn on_kill_switch(&mut self, switch: KillSwitch) -> Vec<Action> {
        self.switch = switch;
        match switch {
            KillSwitch::Clear => Vec::new(),
            KillSwitch::ReduceOnly | KillSwitch::Halted => vec![Action::Alarm(Alarm::KillSwitch(switch))],
        }
    }

    fn on_fill(&mut self, fill: &Fill) -> Result<(), EngineError> {
        let stray = || EngineError::StrayFill(fill.client_order_id.clone());
        let order = self.outstanding.as_mut().ok_or_else(stray)?;
        if order.client_order_id != fill.client_order_id || order.quantity < fill.quantity || order.side != fill.side {
            return Err(stray());
        }
        order.quantity -= fill.quantity;
        if order.quantity.0 == 0 {
            self.outstanding = None;
        }
        self.portfolio.apply(&self.header.instrument, fill);
        self.tape.fill(fill);
        Ok(())
    }

    fn on_bar(&mut self, bar: &Bar) -> Result<Vec<Action>, EngineError> {
        let price = self.header.instrument.price(bar.close);
        let close = price.map_err(|source| EngineError::Price { time: bar.time, source })?;
        let mark = self.mark(bar, close);
        let mut actions = vec![Action::Mark(mark)];
        if mark.equity <= Money(0) {
            actions.push(Action::Alarm(Alarm::Ruined));
        }
        if let Some((adaptive, directions)) = &mut self.adaptive {
            adaptive.close(bar.close, directions.close(bar.close));
        }
        let decision = match self.predict(bar, close)? {
            None => Decision { bar: bar.time, target: None, reason: Reason::WarmUp },
            Some((prediction, uncertainty)) => {
                let decision = strategy::decide(&self.header.strategy, &self.header.env, &prediction);
                let state = self.adaptive.as_mut();
                let adapted = state.and_then(|(adaptive, _)| adaptive.forecast(bar.close, &prediction.output));
                actions.push(Action::Prediction(prediction));
                let confidence = uncertainty.zip(adapted).map(|(uncertainty, adapted)| uncertainty.following(adapted));
                actions.extend(confidence.map(Action::Confidence));
                decision
            }
        };
        let order = self.order(&decision, close);
        actions.push(Action::Decision(decision));
        actions.extend(order);
        Ok(actions)
    }

    fn mark(&mut self, bar: &Bar, close: Price) -> Mark {
        let bars_per_year = self.header.interval.periods_per_year() as u32;
        let equity = self.portfolio.close_bar(&self.header.instrument, &self.costs, close, bars_per_year);
        self.gate.mark(bar.time, equity);
        self.tape.mark(bar.time, self.portfolio.cash(), equity);
        Mark { time: bar.time, cash: self.portfolio.cash(), position: self.portfolio.position(), equity }
    }

    fn predict(&mut self, bar: &Bar, close: Price) -> Result<Option<(Prediction, Option<Uncertainty>)>, EngineError> {
        let Some(window) = self.stream.push(bar)? else { return Ok(None) };
        let row = if self.predictor.spec().observes_position() {
            let (exposure, unrealised) = self.portfolio.view(&self.header.instrument, close);
            let position = observation::Position { exposure, unrealised };
            observation::write(window, &position, &mut self.observed);
            &self.observed
        } else {
            window
        };
        let output = self.predictor.predict(&[row])?.remove(0);
        let uncertainty = self.predictor.uncertainty(row, &output)?;
        Ok(Some((self.predictor.prediction(bar.time, row, output), uncertainty)))
    }

    fn order(&mut self, decision: &Decision, close: Price) -> Option<Action> {
        let (portfolio, instrument) = (&self.portfolio, &self.header.instrument);
        let (side, quantity) = strategy::size(decision, portfolio, instrument, &self.costs, close)?;
        if let Some(order) = &self.outstanding {
            // What it will still do to the position is not known, so no size would be right.
            return Some(Action::Alarm(Alarm::Outstanding(order.client_order_id.clone())));
        }
        self.sequence += 1;
        let intent = OrderIntent {
            client_order_id: ClientOrderId::new(&self.header.session, self.sequence),
            symbol: instrument.symbol().clone(),
            side,
            quantity,
            decided: decision.bar,
        };
        let context = Context { portfolio, instrument, mark: close, switch: self.switch };
        Some(match self.gate.approve(intent, &context) {
            Ok(approved) => {
                self.tape.order(approved.get());
                self.outstanding = Some(approved.get().clone());
                Action::Order(approved)
            }
            Err(refusal) => Action::Refusal(refusal),
        })
    }
}

/// Of a calibrated forecaster: what adapts to outcomes, and the directions of these by the rule of its labels.
fn adaptive(predictor: &Predictor, task: &TaskSpec) -> Option<(Adaptive, Directions)> {
    let TaskSpec::Supervised(task) = task else { return None };
    let (calibration, unit) = predictor.calibration().zip(predictor.return_unit())?;
    Some((Adaptive::new(calibration), Directions::new(task, unit)))
}
