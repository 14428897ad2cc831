//! Invitations and memberships over time.

use super::*;

const HOUR: Span = Span::from_secs(3_600);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

fn name(text: &str) -> Owner {
    text.parse().unwrap()
}

fn token(byte: u8) -> Token {
    Token::from_random([byte; 32])
}

fn digest(byte: u8) -> Digest {
    Digest::of(token(byte).expose().as_bytes())
}

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

/// A roll with `box-1`, invited at 0 for an hour with token 1.
fn invited() -> Roll {
    let mut roll = Roll::default();
    roll.invite(at(0), (&name("box-1"), Role::Worker), digest(1), HOUR).unwrap();
    roll
}

#[test]
fn a_token_is_for_one_key_and_may_be_repeated_by_it() {
    let mut roll = invited();
    let joined = Joined { name: name("box-1"), role: Role::Worker, expires: at(3_600) };
    assert_eq!(roll.join(at(1), &token(1), key(7)), Ok(joined.clone()));
    assert_eq!(roll.join(at(2), &token(1), key(7)), Ok(joined), "its answer was lost");
    assert_eq!(roll.join(at(3), &token(1), key(8)), Err(Refusal::Spent));
    assert_eq!(roll.join(at(3), &token(2), key(8)), Err(Refusal::Unauthenticated));
    assert_eq!(roll.member(at(3), &key(7)), Ok((name("box-1"), Role::Worker)));
    assert_eq!(roll.member(at(3), &key(8)), Err(Refusal::Stranger));
}

#[test]
fn a_membership_ends_by_its_time_and_by_an_administrators_word() {
    let mut roll = invited();
    roll.join(at(1), &token(1), key(7)).unwrap();
    assert!(roll.member(at(3_599), &key(7)).is_ok());
    assert_eq!(roll.member(at(3_600), &key(7)), Err(Refusal::Expired));
    assert_eq!(roll.revoke(at(9), &name("box-1")).unwrap().state, MemberState::Revoked);
    assert_eq!(roll.member(at(10), &key(7)), Err(Refusal::Revoked));
    assert!(matches!(roll.revoke(at(9), &name("nobody")), Err(Refusal::NotFound(_))));

    let mut unused = invited();
    assert_eq!(unused.join(at(3_600), &token(1), key(7)), Err(Refusal::Expired));
    unused.revoke(at(5), &name("box-1")).unwrap();
    assert_eq!(unused.join(at(6), &token(1), key(7)), Err(Refusal::Revoked));
}

#[test]
fn a_name_is_free_again_once_its_holder_is_gone_and_the_old_key_opens_nothing() {
    let mut roll = invited();
    roll.join(at(1), &token(1), key(7)).unwrap();
    let again = roll.invite(at(2), (&name("box-1"), Role::Admin), digest(2), HOUR).unwrap_err();
    assert_eq!(again.to_string(), "box-1 is a member already: revoke that first, or choose another name");
    roll.revoke(at(3), &name("box-1")).unwrap();
    roll.invite(at(4), (&name("box-1"), Role::Admin), digest(2), HOUR).unwrap();
    assert_eq!(roll.member(at(5), &key(7)), Err(Refusal::Stranger));
    assert_eq!(roll.join(at(5), &token(1), key(7)), Err(Refusal::Unauthenticated), "the old token is gone too");
    assert_eq!(roll.join(at(5), &token(2), key(9)).unwrap().role, Role::Admin);
}

#[test]
fn workers_of_two_members_can_always_be_told_apart() {
    let mut roll = invited();
    for clashing in ["box", "box-1-a"] {
        let refused = roll.invite(at(1), (&name(clashing), Role::Worker), digest(3), HOUR);
        assert!(matches!(refused, Err(Refusal::Conflict(_))), "{clashing}");
    }
    roll.invite(at(1), (&name("box-10"), Role::Worker), digest(3), HOUR).unwrap();
    assert!(is_of("box-1", &name("box-1")) && is_of("box-1-ab12", &name("box-1")));
    assert!(!is_of("box-10", &name("box-1")) && !is_of("box", &name("box-1")));
}

#[test]
fn bounds_are_kept_and_said() {
    let mut roll = Roll::default();
    for life in [Span::from_secs(59), Span::from_secs(367 * 86_400)] {
        let refused = roll.invite(at(0), (&name("a"), Role::Read), digest(1), life);
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{life}");
    }
    let long = name(&"a".repeat(NAME_MAX + 1));
    assert!(matches!(roll.invite(at(0), (&long, Role::Read), digest(1), HOUR), Err(Refusal::Invalid(_))));
}

#[test]
fn a_roll_survives_its_file_which_holds_no_token() {
    let mut roll = invited();
    roll.join(at(1), &token(1), key(7)).unwrap();
    let json = roll.json();
    assert!(!json.contains(token(1).expose()), "{json}");
    assert_eq!(Roll::read(&json).unwrap(), roll);
}
