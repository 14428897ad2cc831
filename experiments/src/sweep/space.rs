//! The spec's space as the search sees it, and its points as parameters of a trial.

use search::{Axis, Domain, Point, Scale, Space, SpaceError, Value};
use spec::{Condition, Dimension, ParamValue, Params, SweepSpec};

/// The dimensions of a sweep, in the order of their paths.
#[derive(Debug, Clone)]
pub(super) struct Dimensions {
    pub(super) space: Space,
    /// The values of each `choice`; of other dimensions, none.
    values: Vec<Vec<ParamValue>>,
}

impl Dimensions {
    /// # Errors
    /// [`SpaceError`] naming the dimension that is none.
    pub(super) fn new(sweep: &SweepSpec) -> Result<Self, SpaceError> {
        let axis = |(path, dimension): (&String, &Dimension)| Axis {
            name: path.clone(),
            domain: domain(dimension),
            condition: sweep.conditions.get(path).map(|condition| self::condition(sweep, condition)),
        };
        let values = sweep.space.values().map(|dimension| values(dimension).to_vec()).collect();
        Ok(Self { space: Space::new(sweep.space.iter().map(axis).collect())?, values })
    }

    /// The point of some parameters; `None` where they are outside this space.
    pub(super) fn point(&self, params: &Params) -> Option<Point> {
        let axes = self.space.axes().iter().zip(&self.values);
        let value = |(axis, values): (&Axis, &Vec<ParamValue>)| {
            let Some(param) = params.get(&axis.name) else { return Some(None) };
            let value = match (axis.domain, param) {
                (Domain::Real { .. }, ParamValue::Real(real)) => Value::Real(*real),
                (Domain::Integer { .. }, ParamValue::Integer(whole)) => Value::Integer(*whole),
                (Domain::Categorical { .. }, param) => Value::Level(values.iter().position(|other| other == param)?),
                (Domain::Real { .. } | Domain::Integer { .. }, _) => return None,
            };
            Some(Some(value))
        };
        let point = Point(axes.map(value).collect::<Option<_>>()?);
        self.space.contains(&point).then_some(point)
    }

    /// The parameters of a point. What does not count has none: the file's own value stands.
    pub(super) fn params(&self, point: &Point) -> Params {
        let axes = self.space.axes().iter().zip(&self.values);
        let param = |((axis, values), value): ((&Axis, &Vec<ParamValue>), &Option<Value>)| {
            let param = match (*value)? {
                Value::Real(real) => ParamValue::Real(real),
                Value::Integer(whole) => ParamValue::Integer(whole),
                Value::Level(level) => values.get(level)?.clone(),
            };
            Some((axis.name.clone(), param))
        };
        axes.zip(&point.0).filter_map(param).collect()
    }
}

const fn domain(dimension: &Dimension) -> Domain {
    match dimension {
        Dimension::Uniform(low, high) => Domain::Real { low: *low, high: *high, scale: Scale::Linear },
        Dimension::LogUniform(low, high) => Domain::Real { low: *low, high: *high, scale: Scale::Log },
        Dimension::Integer(low, high) => Domain::Integer { low: *low, high: *high, scale: Scale::Linear },
        Dimension::LogInteger(low, high) => Domain::Integer { low: *low, high: *high, scale: Scale::Log },
        Dimension::Choice(values) => Domain::Categorical { levels: values.len() },
    }
}

fn values(dimension: &Dimension) -> &[ParamValue] {
    match dimension {
        Dimension::Choice(values) => values,
        Dimension::Uniform(..) | Dimension::LogUniform(..) | Dimension::Integer(..) | Dimension::LogInteger(..) => &[],
    }
}

/// Values that the choice does not have are left out; the check of the spec refused them with their place.
fn condition(sweep: &SweepSpec, condition: &Condition) -> search::Condition {
    let of = sweep.space.get(&condition.of).map_or(&[][..], values);
    let levels = condition.is.iter().filter_map(|value| of.iter().position(|other| other == value)).collect();
    search::Condition { axis: condition.of.clone(), levels }
}
