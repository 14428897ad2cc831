//! Every combination of the listed values, the last path turning fastest.

use std::collections::BTreeMap;

use spec::{Dimension, ParamValue, Params};

/// A dimension that has no list of values to walk through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "sweep.space.{path} is no list: the grid sampler walks through `choice` dimensions only; list its values or use sampler: random"
)]
pub struct NotAList {
    /// Dotted path of the dimension.
    pub path: String,
}

/// The combinations of a space.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    axes: Vec<(String, Vec<ParamValue>)>,
}

impl Grid {
    pub(super) fn new(space: &BTreeMap<String, Dimension>) -> Result<Self, NotAList> {
        let axis = |(path, dimension): (&String, &Dimension)| match dimension {
            Dimension::Choice(values) if !values.is_empty() => Ok((path.clone(), values.clone())),
            Dimension::Choice(_)
            | Dimension::Uniform(..)
            | Dimension::LogUniform(..)
            | Dimension::Integer(..)
            | Dimension::LogInteger(..) => Err(NotAList { path: path.clone() }),
        };
        Ok(Self { axes: space.iter().map(axis).collect::<Result<_, _>>()? })
    }

    /// How many combinations there are.
    pub(super) fn len(&self) -> u64 {
        self.axes.iter().fold(1, |product: u64, (_, values)| product.saturating_mul(values.len() as u64))
    }

    /// Combination `index`, in mixed-radix order.
    pub(super) fn point(&self, index: u32) -> Params {
        let mut rest = u64::from(index);
        let mut params = Params::new();
        for (path, values) in self.axes.iter().rev() {
            let radix = values.len() as u64;
            params.insert(path.clone(), values[(rest % radix) as usize].clone());
            rest /= radix;
        }
        params
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn integers(values: &[i64]) -> Dimension {
        Dimension::Choice(values.iter().copied().map(ParamValue::Integer).collect())
    }

    #[test]
    fn every_combination_comes_once_and_the_last_path_turns_fastest() {
        let space = BTreeMap::from([("a".to_owned(), integers(&[1, 2])), ("b".to_owned(), integers(&[10, 20, 30]))]);
        let grid = Grid::new(&space).unwrap();
        assert_eq!(grid.len(), 6);
        let pairs: Vec<_> = (0..6)
            .map(|index| grid.point(index))
            .map(|point| (point["a"].clone(), point["b"].clone()))
            .map(|pair| match pair {
                (ParamValue::Integer(a), ParamValue::Integer(b)) => (a, b),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(pairs[..4], [(1, 10), (1, 20), (1, 30), (2, 10)]);
        assert_eq!(pairs.iter().collect::<BTreeSet<_>>().len(), 6);
    }

    #[test]
    fn an_empty_space_is_one_point_without_parameters() {
        let grid = Grid::new(&BTreeMap::new()).unwrap();
        assert_eq!(grid.len(), 1);
        assert!(grid.point(0).is_empty());
    }

    #[test]
    fn a_range_or_an_empty_list_is_refused_by_its_path() {
        for dimension in [Dimension::Uniform(0.0, 1.0), Dimension::Choice(Vec::new())] {
            let error = Grid::new(&BTreeMap::from([("model.x".to_owned(), dimension)])).unwrap_err();
            assert!(error.to_string().starts_with("sweep.space.model.x is no list"), "{error}");
        }
    }
}
