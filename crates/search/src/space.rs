//! The space of a search: named axes, some of them active only where another takes certain levels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Point, Value};

/// Most axes of a space.
pub const AXES_MAX: usize = 512;
/// Most levels of a categorical axis.
pub const LEVELS_MAX: usize = 4096;

/// How the numbers of a range are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// Evenly in the logarithm; the range lies above 0.
    Log,
}

/// What an axis can be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Domain {
    /// A real number in [low, high].
    Real {
        /// Least value.
        low: f64,
        /// Greatest value, above `low`.
        high: f64,
        /// How values are spread.
        scale: Scale,
    },
    /// A whole number in low..=high.
    Integer {
        /// Least value.
        low: i64,
        /// Greatest value, above `low`.
        high: i64,
        /// How values are spread.
        scale: Scale,
    },
    /// One of some levels, 0 to `levels` − 1, in no order.
    Categorical {
        /// How many there are, at least 1.
        levels: usize,
    },
}

/// Where an axis is active: where the categorical axis of that name takes one of these levels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Name of the other axis. Where that one is inactive, so is this.
    pub axis: String,
    /// Levels of the other axis.
    pub levels: Vec<usize>,
}

/// One axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Its name, once in a space.
    pub name: String,
    /// What it can be.
    pub domain: Domain,
    /// Where it is active. None: always.
    pub condition: Option<Condition>,
}

/// Axes that make no space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// Too many axes.
    #[error("a space has at most {AXES_MAX} axes, this one has {0}: leave some out")]
    TooManyAxes(usize),
    /// Two axes of one name.
    #[error("axis `{0}` stands twice: give each axis a name of its own")]
    Twice(String),
    /// The ends of a range.
    #[error("axis `{axis}`: the range from {low} to {high} is empty or not finite: low must lie below high")]
    Range {
        /// The axis.
        axis: String,
        /// Its low end, as given.
        low: String,
        /// Its high end, as given.
        high: String,
    },
    /// A logarithm of nothing.
    #[error("axis `{axis}`: a log scale begins above 0, not at {low}: raise its low end or use a linear scale")]
    Log {
        /// The axis.
        axis: String,
        /// Its low end, as given.
        low: String,
    },
    /// A wrong number of levels.
    #[error("axis `{axis}`: {levels} levels are no choice: from 1 to {LEVELS_MAX} are possible")]
    Levels {
        /// The axis.
        axis: String,
        /// How many were given.
        levels: usize,
    },
    /// A condition on an axis that does not exist or has no levels.
    #[error("axis `{axis}` hangs on `{on}`, which is no categorical axis of the space")]
    UnknownParent {
        /// The axis with the condition.
        axis: String,
        /// The axis that it names.
        on: String,
    },
    /// A condition that never holds.
    #[error("axis `{axis}` hangs on level {level} of `{on}`, which has only {levels}: levels count from 0")]
    UnknownLevel {
        /// The axis with the condition.
        axis: String,
        /// The axis that it names.
        on: String,
        /// The level that does not exist.
        level: usize,
        /// How many there are.
        levels: usize,
    },
    /// A condition without levels.
    #[error("axis `{0}` has a condition without levels and would never be active: name a level or drop the axis")]
    Never(String),
    /// Axes that hang on each other.
    #[error("axis `{0}` hangs on itself, by way of its conditions: break the circle")]
    Circle(String),
}

/// The condition of an axis with the other axis by its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hook {
    parent: usize,
    levels: Vec<usize>,
}

/// Checked axes. A point of the space has one place for each, in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    axes: Vec<Axis>,
    hooks: Vec<Option<Hook>>,
    groups: Vec<Vec<usize>>,
}

impl Space {
    /// The space of these axes.
    ///
    /// # Errors
    /// [`SpaceError`] naming the first axis that is wrong, and how.
    pub fn new(axes: Vec<Axis>) -> Result<Self, SpaceError> {
        if axes.len() > AXES_MAX {
            return Err(SpaceError::TooManyAxes(axes.len()));
        }
        let mut places = BTreeMap::new();
        for (place, axis) in axes.iter().enumerate() {
            check_domain(axis)?;
            if places.insert(axis.name.as_str(), place).is_some() {
                return Err(SpaceError::Twice(axis.name.clone()));
            }
        }
        let hooks = axes.iter().map(|axis| hook(axis, &axes, &places)).collect::<Result<Vec<_>, _>>()?;
        let depths = (0..axes.len()).map(|place| depth(place, &axes, &hooks)).collect::<Result<Vec<_>, _>>()?;
        // Axes with one condition are active together; a deeper group hangs on an axis of a shallower one.
        let mut grouped: BTreeMap<(usize, &Option<Hook>), Vec<usize>> = BTreeMap::new();
        for place in 0..axes.len() {
            grouped.entry((depths[place], &hooks[place])).or_default().push(place);
        }
        let groups = grouped.into_values().collect();
        Ok(Self { axes, hooks, groups })
    }

    /// The axes, in their order.
    #[must_use]
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// Places of axes that are always active together, each group after the one that decides about it.
    pub(crate) fn groups(&self) -> &[Vec<usize>] {
        &self.groups
    }

    pub(crate) fn domain(&self, place: usize) -> &Domain {
        &self.axes[place].domain
    }

    pub(crate) fn is_conditional(&self, place: usize) -> bool {
        self.hooks[place].is_some()
    }

    /// Whether the axis at `place` is active, given what `point` says about the axis that it hangs on.
    #[must_use]
    pub fn is_active(&self, place: usize, point: &Point) -> bool {
        match &self.hooks[place] {
            None => true,
            Some(Hook { parent, levels }) => match point.0[*parent] {
                Some(Value::Level(level)) => levels.contains(&level),
                Some(Value::Real(_) | Value::Integer(_)) | None => false,
            },
        }
    }

    /// The point whose active axes are chosen by `choose`, parents before children. `choose` is told the place.
    pub(crate) fn walk(&self, mut choose: impl FnMut(usize) -> Value) -> Point {
        let mut point = Point(vec![None; self.axes.len()]);
        for &place in self.groups.iter().flatten() {
            if self.is_active(place, &point) {
                point.0[place] = Some(choose(place));
            }
        }
        point
    }

    /// Why `point` is none of this space: the place of the first axis that is outside, missing or too much.
    pub(crate) fn misfit(&self, point: &Point) -> Option<usize> {
        if point.0.len() != self.axes.len() {
            return Some(point.0.len().min(self.axes.len().saturating_sub(1)));
        }
        (0..self.axes.len()).find(|&place| match &point.0[place] {
            Some(value) => !self.is_active(place, point) || !self.axes[place].domain.contains(value),
            None => self.is_active(place, point),
        })
    }

    /// Whether every active axis of `point`, and no other, has a value inside its domain.
    #[must_use]
    pub fn contains(&self, point: &Point) -> bool {
        self.misfit(point).is_none()
    }
}

fn check_domain(axis: &Axis) -> Result<(), SpaceError> {
    let range = |low: String, high: String| SpaceError::Range { axis: axis.name.clone(), low, high };
    let log = |low: String| SpaceError::Log { axis: axis.name.clone(), low };
    match axis.domain {
        Domain::Real { low, high, .. } if !(low < high && (high - low).is_finite()) => {
            Err(range(low.to_string(), high.to_string()))
        }
        Domain::Integer { low, high, .. } if low >= high => Err(range(low.to_string(), high.to_string())),
        Domain::Real { low, scale: Scale::Log, .. } if low <= 0.0 => Err(log(low.to_string())),
        Domain::Integer { low, scale: Scale::Log, .. } if low <= 0 => Err(log(low.to_string())),
        Domain::Categorical { levels } if levels == 0 || levels > LEVELS_MAX => {
            Err(SpaceError::Levels { axis: axis.name.clone(), levels })
        }
        Domain::Real { .. } | Domain::Integer { .. } | Domain::Categorical { .. } => Ok(()),
    }
}

fn hook(axis: &Axis, axes: &[Axis], places: &BTreeMap<&str, usize>) -> Result<Option<Hook>, SpaceError> {
    let Some(Condition { axis: on, levels }) = &axis.condition else { return Ok(None) };
    let unknown = || SpaceError::UnknownParent { axis: axis.name.clone(), on: on.clone() };
    let parent = *places.get(on.as_str()).ok_or_else(unknown)?;
    let Domain::Categorical { levels: count } = axes[parent].domain else { return Err(unknown()) };
    if let Some(&level) = levels.iter().find(|level| **level >= count) {
        return Err(SpaceError::UnknownLevel { axis: axis.name.clone(), on: on.clone(), level, levels: count });
    }
    if levels.is_empty() {
        return Err(SpaceError::Never(axis.name.clone()));
    }
    let mut levels = levels.clone();
    levels.sort_unstable();
    levels.dedup();
    Ok(Some(Hook { parent, levels }))
}

/// How many conditions lead to the axis.
fn depth(place: usize, axes: &[Axis], hooks: &[Option<Hook>]) -> Result<usize, SpaceError> {
    let (mut depth, mut at) = (0, place);
    while let Some(Hook { parent, .. }) = &hooks[at] {
        (depth, at) = (depth + 1, *parent);
        if depth > axes.len() {
            return Err(SpaceError::Circle(axes[place].name.clone()));
        }
    }
    Ok(depth)
}

#[cfg(test)]
mod tests;
