//! What makes a history, and who stands before whom.

use super::*;
use crate::cases::{key, reals};
use crate::{Value, random};

fn seen(index: u32, outcome: Outcome) -> Observation {
    Observation { index, point: random::point(&reals(2, 0.0, 1.0), &key(1), index), outcome }
}

fn refused(observations: Vec<Observation>) -> String {
    History::new(&reals(2, 0.0, 1.0), observations).unwrap_err().to_string()
}

#[test]
fn observations_that_do_not_fit_are_refused_by_index() {
    assert!(
        refused(vec![seen(4, Outcome::Failed), seen(4, Outcome::Pending)]).starts_with("observation 4 stands twice")
    );
    let mut outside = seen(2, Outcome::Failed);
    outside.point.0[1] = Some(Value::Real(1.5));
    assert!(refused(vec![outside]).starts_with("observation 2 is no point of the space: axis `x1`"));
    let two = Outcome::Measured(vec![1.0, 2.0]);
    assert!(
        refused(vec![seen(0, Outcome::Measured(vec![1.0])), seen(1, two)]).contains("has 2 objectives where 1 are")
    );
    assert!(refused(vec![seen(0, Outcome::Measured(vec![]))]).contains("has 0 objectives"));
    assert!(refused(vec![seen(0, Outcome::Measured(vec![0.0; 17]))]).contains("has 17 objectives"));
}

#[test]
fn measured_stand_before_pruned_before_failed_before_pending() {
    let all = [
        seen(0, Outcome::Pending),
        seen(1, Outcome::Failed),
        seen(2, Outcome::Pruned { rung: 1, value: -5.0 }),
        seen(3, Outcome::Pruned { rung: 2, value: 9.0 }),
        seen(4, Outcome::Measured(vec![3.0])),
        seen(5, Outcome::Measured(vec![f64::NAN])),
        seen(6, Outcome::Measured(vec![-3.0])),
        seen(7, Outcome::Pruned { rung: 2, value: 8.0 }),
        seen(8, Outcome::Measured(vec![f64::NEG_INFINITY])),
        seen(9, Outcome::Measured(vec![3.0])),
    ];
    assert_eq!(best_first(&all.iter().collect::<Vec<_>>()), [6, 4, 9, 7, 3, 2, 1, 5, 8, 0]);
}

#[test]
fn asking_again_for_an_index_replaces_it() {
    let space = reals(2, 0.0, 1.0);
    let mut history = History::new(&space, vec![seen(0, Outcome::Failed), seen(5, Outcome::Failed)]).unwrap();
    history.ask(3, seen(3, Outcome::Pending).point);
    history.ask(3, seen(4, Outcome::Pending).point);
    let indices: Vec<u32> = history.observations().iter().map(|seen| seen.index).collect();
    assert_eq!(indices, [0, 3, 5]);
    assert_eq!(history.observations()[1].point, seen(4, Outcome::Pending).point);
}
