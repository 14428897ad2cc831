//! Policies that act as one, or forecasters whose forecasts are averaged (Lakshminarayanan et al. 2017): each is asked for
//! itself, and what they say is combined in a fixed order.

use artifacts::{Bundle, Member, Membership};
use spec::{BundleId, Combination, Output, QUANTILES, Spread};

use crate::{CLASSES, ModelError, NetworkKind, NetworkSpec, PolicyHead, Predictor};

/// Members with their say.
#[derive(Debug)]
pub(crate) struct Ensemble {
    members: Vec<(Predictor, f64)>,
    together: Together,
}

/// What members do together.
#[derive(Clone, Copy, Debug)]
enum Together {
    /// They act by the mean of the exposures that they name.
    Mean,
    /// They vote for one of so many actions.
    Vote { actions: usize },
    /// They forecast.
    Forecast,
}

impl Ensemble {
    pub(crate) fn load(bundle: &Bundle) -> Result<Self, ModelError> {
        let id = bundle.id();
        let unknown = |why: String| ModelError::Unknown { bundle: id, why };
        let Membership { combine, members } =
            serde_json::from_value(bundle.manifest().network.clone()).map_err(|error| unknown(error.to_string()))?;
        let load = |(index, member): (usize, Member)| {
            let spec: NetworkSpec =
                serde_json::from_value(member.network).map_err(|error| unknown(error.to_string()))?;
            let weights =
                bundle.member_weights(index).ok_or_else(|| unknown(format!("member {index} has no weights")))?;
            Ok((Predictor::from_parts(&spec, weights, member.digest)?, member.weight))
        };
        let members: Vec<(Predictor, f64)> =
            members.into_iter().enumerate().map(load).collect::<Result<_, ModelError>>()?;
        let sum: f64 = members.iter().map(|(_, weight)| weight).sum();
        if members.iter().any(|(_, weight)| !(0.0..=1.0).contains(weight)) || (sum - 1.0).abs() > 1e-9 {
            return Err(unknown("its weights are no shares".to_owned()));
        }
        let together = check(id, combine, &members)?;
        Ok(Self { members, together })
    }

    pub(crate) const fn len(&self) -> usize {
        self.members.len()
    }

    /// The first member's network: all see the same row.
    pub(crate) fn spec(&self) -> &NetworkSpec {
        self.members[0].0.spec()
    }

    /// What the members make of each row together.
    pub(crate) fn outputs(&self, rows: &[&[f32]]) -> Result<Vec<Output>, ModelError> {
        let said = self.members.iter().map(|(member, _)| member.predict(rows)).collect::<Result<Vec<_>, _>>()?;
        let together = |row: usize| {
            let said = said.iter().zip(&self.members).map(|(outputs, (_, weight))| (&outputs[row], *weight));
            match self.together {
                Together::Vote { actions } => vote(said, actions),
                Together::Mean => mean(said),
                Together::Forecast => forecast(said),
            }
        };
        Ok((0..rows.len()).map(together).collect())
    }

    /// What each member says of a row, with its weight.
    pub(crate) fn views(&self, row: &[f32]) -> Result<Vec<(Output, f64)>, ModelError> {
        self.members.iter().map(|(member, weight)| Ok((member.predict(&[row])?.remove(0), *weight))).collect()
    }

    /// The first member's unit: all learned from the same labels.
    pub(crate) fn return_unit(&self) -> Option<f64> {
        self.members[0].0.return_unit()
    }
}

/// What the members do together, once they fit each other.
fn check(id: BundleId, combine: Combination, members: &[(Predictor, f64)]) -> Result<Together, ModelError> {
    let unfit = |why: &str| Err(ModelError::Unknown { bundle: id, why: why.to_owned() });
    let Some((first, _)) = members.first() else { return unfit("an ensemble without members") };
    if first.forecasts() {
        if members.iter().any(|(member, _)| member.spec().kind != first.spec().kind) {
            return unfit("a member forecasts, and another acts or forecasts something else");
        }
        if combine == Combination::Argmax {
            return unfit("forecasters name no actions to vote for: combine by `mean`");
        }
        let width = first.input_width();
        let alike = members.iter().all(|(member, _)| member.input_width() == width);
        return if alike { Ok(Together::Forecast) } else { unfit("its members see rows of different widths") };
    }
    let (mut discrete, mut components) = (Vec::new(), Vec::new());
    for (member, _) in members {
        if (member.input_width(), member.spec().observes_position())
            != (first.input_width(), first.spec().observes_position())
        {
            return unfit("its members see rows of different widths");
        }
        match member.spec().kind {
            NetworkKind::Forecaster | NetworkKind::MultiTask { .. } => {
                return unfit("a member forecasts, and has no action to combine");
            }
            NetworkKind::Policy {
                head: head @ (PolicyHead::Categorical { .. } | PolicyHead::Values { .. }), ..
            } => {
                discrete.push(head.size());
            }
            NetworkKind::Policy { head, .. } => components.push(head.size()),
        }
    }
    if discrete.windows(2).any(|pair| pair[0] != pair[1]) || discrete.first().is_some_and(|actions| *actions < 2) {
        return unfit("its members choose among different actions");
    }
    let width = if discrete.is_empty() { components.first().copied().unwrap_or(1) } else { 1 };
    if components.iter().any(|components| *components != width) {
        return unfit("its members' actions have different numbers of components");
    }
    match (combine, discrete.first()) {
        (Combination::Argmax, None) => unfit("no member has discrete actions to vote for: combine by `mean`"),
        (Combination::Argmax, Some(actions)) => Ok(Together::Vote { actions: *actions }),
        (Combination::Mean, _) => Ok(Together::Mean),
    }
}

/// Weighted mean of what the members name, each discrete action as a point of the range: the first its least, the last its
/// largest.
fn mean<'a>(said: impl Iterator<Item = (&'a Output, f64)>) -> Output {
    let mut sums: Vec<f64> = Vec::new();
    for (output, weight) in said {
        let mut add = |index: usize, value: f64| {
            sums.resize(sums.len().max(index + 1), 0.0);
            sums[index] += weight * value;
        };
        match output {
            Output::Policy { action, probabilities: all } | Output::Values { action, values: all } => {
                add(0, 2.0 * f64::from(*action) / (all.len() - 1) as f64 - 1.0);
            }
            Output::Control { action } => {
                action.iter().enumerate().for_each(|(index, value)| add(index, f64::from(value.clamp(-1.0, 1.0))));
            }
            Output::Forecast { .. } => unreachable!("loading refuses forecasters"),
        }
    }
    Output::Control { action: sums.into_iter().map(|sum| sum.clamp(-1.0, 1.0) as f32).collect() }
}

/// Weighted means of probabilities, expectations and volatilities. A deviation is that of the mixture, its members' variance
/// and the variance between them; quantiles are averaged level by level, so that they ascend.
fn forecast<'a>(said: impl Iterator<Item = (&'a Output, f64)> + Clone) -> Output {
    let each = said.map(|(output, weight)| match output {
        Output::Forecast { probabilities, expected_return, spread, volatility } => {
            (weight, probabilities, f64::from(*expected_return), *spread, *volatility)
        }
        Output::Policy { .. } | Output::Values { .. } | Output::Control { .. } => {
            unreachable!("loading refuses policies among forecasters")
        }
    });
    let centre: f64 = each.clone().map(|(weight, _, expected, ..)| weight * expected).sum();
    let mut probabilities = [0.0; CLASSES];
    let (mut variance, mut levels, mut volatility) = (0.0, [0.0; QUANTILES.len()], None);
    let mut kind = None;
    for (weight, own, expected, spread, moves) in each {
        probabilities.iter_mut().zip(own).for_each(|(sum, own)| *sum += weight * f64::from(*own));
        match spread {
            Some(Spread::Deviation(deviation)) => {
                variance += weight * (f64::from(deviation).powi(2) + (expected - centre).powi(2));
            }
            Some(Spread::Quantiles(own)) => {
                levels.iter_mut().zip(own).for_each(|(sum, own)| *sum += weight * f64::from(own));
            }
            None => {}
        }
        kind = spread;
        if let Some(moves) = moves {
            *volatility.get_or_insert(0.0) += weight * f64::from(moves);
        }
    }
    Output::Forecast {
        probabilities: probabilities.map(|sum| sum as f32),
        expected_return: centre as f32,
        spread: kind.map(|kind| match kind {
            Spread::Deviation(_) => Spread::Deviation(variance.sqrt() as f32),
            Spread::Quantiles(_) => Spread::Quantiles(levels.map(|level: f64| level as f32)),
        }),
        volatility: volatility.map(|volatility: f64| volatility as f32),
    }
}

/// Each member's weight goes to its action; a continuous one is taken as the nearest.
fn vote<'a>(said: impl Iterator<Item = (&'a Output, f64)>, actions: usize) -> Output {
    let mut votes = vec![0.0; actions];
    for (output, weight) in said {
        let choice = match output {
            Output::Policy { action, .. } | Output::Values { action, .. } => *action as usize,
            Output::Control { action } => {
                let share = (f64::from(action[0].clamp(-1.0, 1.0)) + 1.0) / 2.0;
                (share * (actions - 1) as f64).round() as usize
            }
            Output::Forecast { .. } => unreachable!("loading refuses forecasters"),
        };
        votes[choice.min(actions - 1)] += weight;
    }
    let mut best = 0;
    for (index, votes_for) in votes.iter().enumerate() {
        if *votes_for > votes[best] {
            best = index;
        }
    }
    Output::Policy { action: best as u32, probabilities: votes.into_iter().map(|vote| vote as f32).collect() }
}

#[cfg(test)]
mod tests;
