//! What makes a space, what does not, and which axes are active.

use super::*;
use crate::cases::{axis, branches, real, under, whole};

fn levels(levels: usize) -> Domain {
    Domain::Categorical { levels }
}

fn refused(axes: Vec<Axis>) -> String {
    Space::new(axes).unwrap_err().to_string()
}

#[test]
fn ranges_that_hold_nothing_are_refused_by_name() {
    for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::NAN), (0.0, f64::INFINITY), (-1e308, 1e308)]
    {
        assert!(
            refused(vec![axis("rate", real(low, high))]).starts_with("axis `rate`: the range from"),
            "{low} {high}"
        );
    }
    assert!(refused(vec![axis("units", whole(3, 3))]).starts_with("axis `units`: the range from 3 to 3"));
    let log = Domain::Real { low: 0.0, high: 1.0, scale: Scale::Log };
    assert!(refused(vec![axis("rate", log)]).starts_with("axis `rate`: a log scale begins above 0, not at 0"));
    let log = Domain::Integer { low: 0, high: 9, scale: Scale::Log };
    assert!(refused(vec![axis("units", log)]).starts_with("axis `units`: a log scale begins above 0"));
    for count in [0, LEVELS_MAX + 1] {
        assert!(refused(vec![axis("kind", levels(count))]).contains("are no choice"));
    }
}

#[test]
fn names_and_conditions_that_lead_nowhere_are_refused() {
    assert!(refused(vec![axis("a", real(0.0, 1.0)), axis("a", whole(0, 1))]).starts_with("axis `a` stands twice"));
    assert!(refused(vec![under("a", real(0.0, 1.0), "b", &[0])]).contains("hangs on `b`, which is no categorical"));
    let on_real = vec![axis("b", real(0.0, 1.0)), under("a", real(0.0, 1.0), "b", &[0])];
    assert!(refused(on_real).contains("hangs on `b`, which is no categorical"));
    let beyond = vec![axis("b", levels(2)), under("a", real(0.0, 1.0), "b", &[1, 2])];
    assert!(refused(beyond).contains("hangs on level 2 of `b`, which has only 2"));
    let never = vec![axis("b", levels(2)), under("a", real(0.0, 1.0), "b", &[])];
    assert!(refused(never).contains("would never be active"));
    assert!(refused(vec![under("a", levels(2), "a", &[0])]).contains("hangs on itself"));
    let circle = vec![under("a", levels(2), "b", &[0]), under("b", levels(2), "a", &[0])];
    assert!(refused(circle).contains("hangs on itself"));
    let many = (0..=AXES_MAX).map(|place| axis(&place.to_string(), real(0.0, 1.0))).collect();
    assert!(refused(many).contains("at most 512 axes"));
}

#[test]
fn axes_of_one_condition_are_a_group_and_parents_come_first() {
    let space = branches();
    assert_eq!(space.groups(), [vec![2, 3, 6], vec![4], vec![1], vec![5], vec![0]]);
}

#[test]
fn an_axis_is_active_only_where_its_parent_is_active_and_has_its_level() {
    let space = branches();
    let point = |model: usize, optimiser: Option<usize>| {
        space.walk(|place| match place {
            1 => Value::Level(optimiser.unwrap()),
            2 => Value::Level(model),
            0 | 3 => Value::Real(0.5),
            _ => Value::Integer(2),
        })
    };
    let active = |point: &Point| point.0.iter().map(|value| u8::from(value.is_some())).collect::<Vec<_>>();
    assert_eq!(active(&point(0, None)), [0, 0, 1, 1, 1, 0, 1]);
    assert_eq!(active(&point(1, Some(0))), [0, 1, 1, 1, 0, 0, 1]);
    assert_eq!(active(&point(2, Some(1))), [1, 1, 1, 1, 0, 1, 1]);

    let good = point(2, Some(1));
    assert!(space.contains(&good));
    let with = |place: usize, value: Option<Value>| {
        let mut changed = good.clone();
        changed.0[place] = value;
        space.contains(&changed)
    };
    assert!(!with(0, None), "an active axis has a value");
    assert!(!with(4, Some(Value::Integer(1))), "an inactive axis has none");
    assert!(!with(3, Some(Value::Real(2.0))), "a value lies in its range");
    assert!(!with(3, Some(Value::Real(f64::NAN))), "a value is a number");
    assert!(!with(5, Some(Value::Real(2.0))), "a value is of its kind");
    assert!(!space.contains(&Point(good.0[1..].to_vec())), "a point has a place for each axis");
}

proptest::proptest! {
    #[test]
    fn a_place_leads_to_a_value_inside_and_back(place in 0.0..=1.0_f64, low in 1_i64..50, width in 1_i64..300) {
        let high = low + width;
        let (from, to) = (low as f64, high as f64);
        for scale in [Scale::Linear, Scale::Log] {
            for domain in [Domain::Real { low: from, high: to, scale }, Domain::Integer { low, high, scale }] {
                let value = domain.at(place);
                assert!(domain.contains(&value), "{domain:?} {value:?}");
                let again = domain.place(&value);
                assert!((again - place).abs() <= 0.51 * domain.cell(again).max(domain.cell(place)) + 1e-12, "{domain:?} {place} {again}");
                match (value, domain.at(again)) {
                    (Value::Real(real), Value::Real(again)) => assert!((real - again).abs() < 1e-9 * real),
                    (value, again) => assert_eq!(value, again),
                }
            }
        }
        let levels = Domain::Categorical { levels: width as usize };
        assert_eq!(levels.at(levels.place(&levels.at(place))), levels.at(place));
    }
}

#[test]
fn ends_of_the_widest_integers_are_reached() {
    let domain = whole(i64::MIN, i64::MAX);
    assert_eq!((domain.at(0.0), domain.at(1.0)), (Value::Integer(i64::MIN), Value::Integer(i64::MAX)));
}
