//! The space of a sweep: every dimension exists, and its ends make a sound trial.

use crate::check::{Facts, folds, of_point, population};
use crate::problem::Finding;
use crate::substitute::{reachable, substitute};
use crate::{Dimension, Direction, ExperimentSpec, Mode, Objective, ParamValue, Pruner, Sampler, SweepSpec, TaskSpec};

/// Values of an integer dimension that are all tried; of a longer one, both ends.
const TRIED_MAX: i64 = 256;

/// `facts` is `None` when the spec itself is wrong, and values are not tried.
pub(super) fn findings(spec: &ExperimentSpec, facts: Option<&Facts>) -> Vec<Finding> {
    let mut findings = objective(spec);
    for (path, dimension) in &spec.sweep.space {
        let finding = match reachable(spec, path) {
            Err(finding) => Some(Finding { path: format!("sweep.space.{path}"), ..finding }.at_key()),
            Ok(()) => shape(path, dimension).or_else(|| unfit(spec, path, dimension, facts?)),
        };
        findings.extend(finding);
    }
    findings.extend(conditions(spec));
    findings.extend(grid(spec));
    findings.extend(population::findings(spec));
    findings.extend(mode(spec));
    findings.extend(folds::findings(spec));
    if spec.sweep.space.is_empty() && spec.sweep.trials > 1 {
        let what = format!("{} trials of one point", spec.sweep.trials);
        let why = "`sweep.space` is empty, so they differ in nothing";
        findings.push(Finding::new("sweep.trials", what, why, "use 1, add a dimension, or list more `seeds`"));
    }
    findings
}

fn objective(spec: &ExperimentSpec) -> Vec<Finding> {
    let objective = spec.sweep.objective;
    let right = match objective.better() {
        Direction::Maximise => "maximise",
        Direction::Minimise => "minimise",
    };
    let mut findings = Vec::new();
    if spec.sweep.direction != objective.better() {
        let what = format!("`{}` with the worse end as the better", objective.as_str());
        findings.push(Finding::new("sweep.direction", what, "the worst trial would win", format!("use `{right}`")));
    }
    let also = &spec.sweep.also;
    for (path, objective) in named(&spec.sweep) {
        if objective == Objective::ValidationLoss && matches!(spec.task, TaskSpec::Rl(_)) {
            let why = "a policy has no loss on validation bars";
            let hint = "use `validation_sharpe` or `validation_return`";
            findings.push(Finding::new(path, "`validation_loss` of a policy", why, hint));
        }
    }
    for (index, again) in also.iter().enumerate() {
        if *again == objective || also[..index].contains(again) {
            let what = format!("`{}` is repeated", again.as_str());
            let why = "a trial is as good twice as once";
            findings.push(Finding::new(format!("sweep.also.{index}"), what, why, "name each objective once"));
        }
    }
    if spec.sweep.sampler == Sampler::NsgaIi && also.is_empty() {
        let why = "a front needs two objectives";
        let hint = "add `also: [validation_drawdown]`, or use `tpe`";
        findings.push(Finding::new("sweep.sampler", "`nsga_ii` for one objective", why, hint));
    }
    findings
}

/// All objectives with their paths.
pub(super) fn named(sweep: &SweepSpec) -> impl Iterator<Item = (String, Objective)> + '_ {
    let also = sweep.also.iter().enumerate().map(|(index, also)| (format!("sweep.also.{index}"), *also));
    std::iter::once(("sweep.objective".to_owned(), sweep.objective)).chain(also)
}

/// Conditions name a choice that exists, values that it has, and never themselves.
fn conditions(spec: &ExperimentSpec) -> Vec<Finding> {
    let SweepSpec { space, conditions, .. } = &spec.sweep;
    let mut findings = Vec::new();
    for (path, condition) in conditions {
        let at = format!("sweep.conditions.{path}");
        let of = format!("{at}.of");
        let Some(Dimension::Choice(values)) = space.get(&condition.of) else {
            let what = format!("`{}` is no `choice` of the space", condition.of);
            findings.push(Finding::new(of, what, "nothing else says when it counts", "name a `choice` dimension"));
            continue;
        };
        if !space.contains_key(path) {
            let what = format!("`{path}` is not in the space");
            findings.push(Finding::new(at, what, "there is nothing to switch off", "add it to `sweep.space`").at_key());
            continue;
        }
        let chain = std::iter::successors(Some(path), |path| conditions.get(*path).map(|condition| &condition.of));
        if chain.skip(1).take(conditions.len()).any(|of| of == path) {
            let what = format!("`{path}` depends on itself");
            findings.push(Finding::new(of, what, "it could never be drawn", "break the circle"));
        }
        if condition.is.is_empty() {
            let what = "no value".to_owned();
            findings.push(Finding::new(format!("{at}.is"), what, "it would never count", "list values of the choice"));
        }
        for (index, value) in condition.is.iter().enumerate().filter(|(_, value)| !values.contains(value)) {
            let what =
                format!("{} is no value of `{}`", serde_json::to_string(value).unwrap_or_default(), condition.of);
            findings.push(Finding::new(
                format!("{at}.is.{index}"),
                what,
                "it never comes",
                "use a value of its choice",
            ));
        }
    }
    findings
}

/// What is wrong with a dimension by itself.
fn shape(path: &str, dimension: &Dimension) -> Option<Finding> {
    let at = format!("sweep.space.{path}");
    let reversed = |low: String, high: String| {
        Finding::new(
            at.clone(),
            format!("low {low} is not below high {high}"),
            "nothing lies between",
            "swap or widen them",
        )
    };
    match dimension {
        Dimension::LogUniform(low, _) if *low <= 0.0 => {
            let why = "the logarithm starts above 0";
            Some(Finding::new(at, format!("low is {low}"), why, "use a `low` above 0, or `uniform`"))
        }
        Dimension::Uniform(low, high) | Dimension::LogUniform(low, high) if low >= high => {
            Some(reversed(low.to_string(), high.to_string()))
        }
        Dimension::LogInteger(low, _) if *low <= 0 => {
            let why = "the logarithm starts above 0";
            Some(Finding::new(at, format!("low is {low}"), why, "use a `low` of 1 or more, or `integer`"))
        }
        Dimension::Integer(low, high) | Dimension::LogInteger(low, high) if low >= high => {
            Some(reversed(low.to_string(), high.to_string()))
        }
        Dimension::Choice(values) if values.is_empty() => {
            Some(Finding::new(at, "an empty choice", "there is nothing to draw", "list at least one value"))
        }
        Dimension::Choice(values) => repeated(values).map(|value| {
            let what = format!("{value} is repeated");
            Finding::new(at, what, "it would be tried twice as the same point", "list each value once")
        }),
        Dimension::Uniform(..) | Dimension::LogUniform(..) | Dimension::Integer(..) | Dimension::LogInteger(..) => None,
    }
}

fn repeated(values: &[ParamValue]) -> Option<String> {
    let value = values.iter().enumerate().find(|(index, value)| values[..*index].contains(value))?.1;
    serde_json::to_string(value).ok()
}

/// The first value of a dimension that makes no sound trial.
fn unfit(spec: &ExperimentSpec, path: &str, dimension: &Dimension, facts: &Facts) -> Option<Finding> {
    values(dimension).into_iter().find_map(|value| {
        let shown = serde_json::to_string(&value).unwrap_or_default();
        let finding = match substitute(spec, &[(path.to_owned(), value)].into()) {
            Ok(point) => of_point(&point, facts).into_iter().next()?,
            Err(finding) => finding,
        };
        let Finding { what, why, hint, .. } = finding;
        Some(Finding::new(format!("sweep.space.{path}"), what, format!("{why} (trying {shown})"), hint))
    })
}

fn values(dimension: &Dimension) -> Vec<ParamValue> {
    match dimension {
        Dimension::Uniform(low, high) | Dimension::LogUniform(low, high) => {
            [*low, *high].map(ParamValue::Real).to_vec()
        }
        Dimension::Integer(low, high) | Dimension::LogInteger(low, high) if high.saturating_sub(*low) < TRIED_MAX => {
            (*low..=*high).map(ParamValue::Integer).collect()
        }
        Dimension::Integer(low, high) | Dimension::LogInteger(low, high) => {
            [*low, *high].map(ParamValue::Integer).to_vec()
        }
        Dimension::Choice(values) => values.clone(),
    }
}

/// Rules that need a whole batch cannot be asked a trial at a time.
fn mode(spec: &ExperimentSpec) -> Option<Finding> {
    let prunes = matches!(spec.sweep.pruner, Pruner::Median { .. } | Pruner::SuccessiveHalving { .. });
    if spec.sweep.mode == Mode::Asynchronous && prunes && spec.sweep.seeds.len() > 1 {
        let why = "a point is judged by all its seeds together, and here each is judged when it comes";
        return Some(Finding::new("sweep.seeds", "several seeds, asynchronous and pruned", why, "name one seed"));
    }
    let whole = match (spec.sweep.mode, spec.sweep.pruner) {
        (Mode::Asynchronous, Pruner::Hyperband { .. }) => "hyperband",
        (Mode::Asynchronous, Pruner::Population { .. }) => "population",
        (Mode::Batch, _)
        | (Mode::Asynchronous, Pruner::None | Pruner::Median { .. } | Pruner::SuccessiveHalving { .. }) => {
            return None;
        }
    };
    let why = "it decides about whole batches";
    let hint = "use `mode: batch`, or the pruner `successive_halving`";
    Some(Finding::new("sweep.mode", format!("`asynchronous` with `{whole}`"), why, hint))
}

fn grid(spec: &ExperimentSpec) -> Vec<Finding> {
    let sweep = &spec.sweep;
    if sweep.sampler != Sampler::Grid {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut points = 1_u64;
    for (path, dimension) in &sweep.space {
        if let Dimension::Choice(values) = dimension {
            points = points.saturating_mul(values.len() as u64);
        } else {
            let why = "a grid needs the values of each dimension";
            let hint = "use `choice: [...]`, or the sampler `random`";
            findings.push(Finding::new(format!("sweep.space.{path}"), format!("`{path}` is a range"), why, hint));
        }
    }
    if findings.is_empty() && u64::from(sweep.trials) > points {
        let what = format!("{} trials", sweep.trials);
        let why = format!("the grid has {points} points");
        findings.push(Finding::new("sweep.trials", what, why, format!("use {points}")));
    }
    findings
}

#[cfg(test)]
mod tests;
