//! Several symbols at once: each one's own features, and those that compare them.

use market::{Bar, Calendar, Timestamp};
use serde::{Deserialize, Serialize};
use spec::FeatureSpec;

use crate::column::warm_up_bars;
use crate::pipeline::admit;
use crate::section::Section;
use crate::{FeatureError, Matrix, Pipeline, Readiness};

/// Where a column of the row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// The symbol's own pipeline, by column.
    Own(usize),
    /// A comparison, by its place among them.
    Section(usize),
}

/// Turns the bars of one time into a row for each symbol. Its state is data, as [`Pipeline`]'s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    names: Vec<String>,
    calendar: Calendar,
    sources: Vec<Source>,
    warm_up: usize,
    /// A symbol each; empty where every feature compares.
    own: Vec<Pipeline>,
    sections: Vec<Section>,
    last: Vec<Option<Bar>>,
}

impl Panel {
    /// An empty panel of `symbols` symbols of US equities.
    ///
    /// # Errors
    /// [`FeatureError::NoFeatures`], [`FeatureError::Parameter`].
    pub fn new(specs: &[FeatureSpec], symbols: usize) -> Result<Self, FeatureError> {
        if specs.is_empty() {
            return Err(FeatureError::NoFeatures);
        }
        let (mut sources, mut own, mut sections) = (Vec::new(), Vec::new(), Vec::new());
        for spec in specs {
            match Section::new(spec, symbols)? {
                Some(section) => {
                    sources.push(Source::Section(sections.len()));
                    sections.push(section);
                }
                None => {
                    sources.push(Source::Own(own.len()));
                    own.push(spec.clone());
                }
            }
        }
        let own = if own.is_empty() { Vec::new() } else { vec![Pipeline::new(&own)?; symbols] };
        let warm_up = specs.iter().map(warm_up_bars).max().unwrap_or(0);
        let names = specs.iter().map(FeatureSpec::column).collect();
        Ok(Self { names, calendar: Calendar::Xnys, sources, warm_up, own, sections, last: vec![None; symbols] })
    }

    /// The same on another calendar.
    #[must_use]
    pub fn on(self, calendar: Calendar) -> Self {
        Self { calendar, ..self }
    }

    /// Columns of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.sources.len()
    }

    /// Names of the columns.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Bars of a symbol before its first complete row.
    #[must_use]
    pub fn warm_up_bars(&self) -> usize {
        self.warm_up
    }

    /// Takes in the closed bars of one time and writes the rows of the symbols that have one.
    ///
    /// # Shapes
    /// `bars`: `[symbols]`, `None` for a symbol that did not trade; `rows`: `[symbols × width]`.
    ///
    /// # Errors
    /// As [`crate::Stream::push`], for the first symbol whose bar is refused; the panel is as before.
    pub fn push(&mut self, bars: &[Option<Bar>], rows: &mut [f64]) -> Result<Vec<Option<Readiness>>, FeatureError> {
        for (bar, last) in bars.iter().zip(&self.last) {
            if let Some(bar) = bar {
                admit(self.calendar, bar, last.map(|last| last.time))?;
            }
        }
        let width = self.width();
        let compared: Vec<Vec<Option<f64>>> = self.compare(bars);
        let mut own = vec![0.0; self.own.first().map_or(0, Pipeline::width)];
        let mut readiness = vec![None; bars.len()];
        for (symbol, row) in rows.chunks_exact_mut(width).enumerate() {
            let Some(bar) = &bars[symbol] else { continue };
            let mut ready = match self.own.get_mut(symbol) {
                Some(pipeline) => pipeline.push(bar, &mut own),
                None => Readiness::Ready,
            };
            for (value, source) in row.iter_mut().zip(&self.sources) {
                match source {
                    Source::Own(column) => *value = own[*column],
                    Source::Section(section) => match compared[*section][symbol] {
                        Some(defined) => *value = defined,
                        None => ready = Readiness::WarmingUp,
                    },
                }
            }
            readiness[symbol] = Some(ready);
            self.last[symbol] = Some(*bar);
        }
        Ok(readiness)
    }

    fn compare(&mut self, bars: &[Option<Bar>]) -> Vec<Vec<Option<f64>>> {
        let last = &self.last;
        let column = |section: &mut Section| {
            let mut values = vec![None; bars.len()];
            section.push(bars, last, &mut values);
            values
        };
        self.sections.iter_mut().map(column).collect()
    }
}

/// Runs a panel over the histories of several US equities, joined by time. Gives a matrix for each, over its own bars.
///
/// # Errors
/// As [`Panel::new`] and [`Panel::push`].
pub fn compute_panel(specs: &[FeatureSpec], series: &[&[Bar]]) -> Result<Vec<Matrix>, FeatureError> {
    compute_panel_on(Calendar::Xnys, specs, series)
}

/// As [`compute_panel`], on any calendar.
///
/// # Errors
/// As [`Panel::new`] and [`Panel::push`].
pub fn compute_panel_on(
    calendar: Calendar,
    specs: &[FeatureSpec],
    series: &[&[Bar]],
) -> Result<Vec<Matrix>, FeatureError> {
    let mut panel = Panel::new(specs, series.len())?.on(calendar);
    let width = panel.width();
    let empty = |bars: &&[Bar]| Matrix { width, first: bars.len(), values: Vec::new() };
    let mut matrices: Vec<Matrix> = series.iter().map(empty).collect();
    let mut next = vec![0; series.len()];
    let mut rows = vec![0.0; width * series.len()];
    while let Some(time) = earliest(series, &next) {
        let take = |(bars, at): (&&[Bar], &usize)| bars.get(*at).filter(|bar| bar.time == time).copied();
        let bars: Vec<Option<Bar>> = series.iter().zip(&next).map(take).collect();
        let readiness = panel.push(&bars, &mut rows)?;
        for (symbol, ready) in readiness.into_iter().enumerate() {
            let Some(ready) = ready else { continue };
            if ready == Readiness::Ready {
                let matrix = &mut matrices[symbol];
                matrix.first = matrix.first.min(next[symbol]);
                matrix.values.extend_from_slice(&rows[symbol * width..(symbol + 1) * width]);
            }
            next[symbol] += 1;
        }
    }
    Ok(matrices)
}

fn earliest(series: &[&[Bar]], next: &[usize]) -> Option<Timestamp> {
    series.iter().zip(next).filter_map(|(bars, at)| bars.get(*at)).map(|bar| bar.time).min()
}
