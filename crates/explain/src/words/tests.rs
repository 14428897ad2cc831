//! What people read.

use expect_test::expect;
use models::Target;

use super::{change, digits, drivers, level, sentences};
use crate::heat_map::tests::explanation;
use crate::{Explanation, Grain};

#[test]
fn an_explanation_reads_as_sentences() {
    expect![[r#"
        At 2021-03-03 the model puts the expected return at +1.20 %; with these features at their training mean it would be +0.400 %.
        1. rsi_14 raises it by 1.00 % (71 % of all pull), most at 2021-03-03: +0.700 %
        2. volume_z_20 lowers it by 0.400 % (29 % of all pull), most at 2021-03-02: −0.300 %
        Attention lies most on 2021-03-03 (50.0 %), 2021-03-02 (30.0 %), 2021-03-01 (20.0 %); an even share is 33.3 %.
        The attributions miss what they explain by 0.200 %; 0.500 % is tolerated (integrated gradients, 64 steps)."#]]
    .assert_eq(&sentences(&explanation()).join("\n"));
}

#[test]
fn drivers_are_ordered_by_how_far_they_pull_and_shares_add_up() {
    let drivers = drivers(&explanation());
    let names: Vec<&str> = drivers.iter().map(|driver| driver.name.as_str()).collect();
    assert_eq!(names, ["rsi_14", "volume_z_20"]);
    assert!((drivers.iter().map(|driver| driver.share).sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn bars_are_drivers_where_bars_are_players_and_errors_stand_beside_them() {
    let by_bar = Explanation {
        grain: Grain::Bar,
        values: vec![0.001, -0.002, 0.0],
        errors: Some(vec![0.0001, 0.0002, 0.0]),
        ..explanation()
    };
    let drivers = drivers(&by_bar);
    assert_eq!((drivers[0].name.as_str(), drivers[0].value, drivers[0].error), ("2021-03-02", -0.002, Some(0.0002)));
    assert!(sentences(&by_bar)[1].starts_with("1. 2021-03-02 lowers it by 0.200 % ± 0.0200 % (67 %"));
}

#[test]
fn nothing_that_pulls_has_no_share() {
    let flat = Explanation { values: vec![0.0; 6], ..explanation() };
    assert!(drivers(&flat).iter().all(|driver| driver.share == 0.0));
}

#[test]
fn numbers_have_units_signs_and_three_digits() {
    let shown = [0.0, 1e-9, 0.012_345, -0.5, 0.999_999_9, 12.345, 123.4].map(digits);
    assert_eq!(shown, ["0", "0", "0.0123", "−0.500", "1.00", "12.3", "123"]);
    assert_eq!(level(Target::Up, 0.412), "41.2 %");
    assert_eq!(level(Target::ExpectedReturn, -0.001), "−0.100 %");
    assert_eq!(change(Target::Up, 0.031), "+3.10 points");
    assert_eq!(change(Target::Volatility, -0.031), "−3.10 %");
}
