//! Symbols that are learned from beside the traded one.

use expect_test::expect;

use crate::check;
use crate::sample::{POLICY, facts, lines, parsed, said};

#[test]
fn symbols_beside_the_traded_one_that_cannot_be_learned_from_are_told() {
    let of_msft = |bars: usize| {
        let mut facts = facts();
        let data = facts.data.as_mut().unwrap();
        data.companions = vec![data.times[366 - bars..].to_vec()];
        let (spec, positions) = parsed(&[("[AAPL]", "[AAPL, MSFT]")]);
        lines(&check(&spec, &positions, &facts))
    };
    assert_eq!(of_msft(366), "");
    expect![[r#"
        a.yaml:5:19: `MSFT` has 0 rows in `train`, 8 are needed to learn from it, after warm-up, window and purge, leave it out, or lengthen `train`
    "#]]
    .assert_eq(&of_msft(230));
}

#[test]
fn several_symbols_go_with_a_forecaster_without_folds_alone() {
    let several = ("[AAPL]", "[AAPL, MSFT]");
    assert_eq!(said(&[several]), "");
    let agent = said(&[POLICY[0], POLICY[1], several]);
    assert!(agent.contains("several symbols, an agent trades one, and learns from no other"), "{agent}");
    let many = format!("[AAPL{}]", ", MSFT".repeat(256));
    assert!(said(&[("[AAPL]", &many)]).contains("257 symbols, their rows are held at once, write 256 or fewer"));
}
