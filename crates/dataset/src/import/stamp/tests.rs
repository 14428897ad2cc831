//! Stamps against jiff, and the hours that a clock shows twice or never.

use proptest::prelude::*;

use super::*;

fn new_york(fold: Fold) -> Stamps {
    Stamps::new(StampFormat::Iso, Some(TimeZone::get("America/New_York").unwrap()), fold)
}

fn utc(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_stamp_without_a_zone_is_refused_unless_one_is_named() {
    let mut stamps = Stamps::new(StampFormat::Iso, None, Fold::Refuse);
    assert_eq!(stamps.parse("2021-03-04"), Ok(utc("2021-03-04")));
    assert_eq!(stamps.parse("2021-03-04T10:00:00+01:00"), Ok(utc("2021-03-04T09:00:00Z")));
    assert_eq!(stamps.parse("2021-03-04 10:00"), Err(StampError::NoZone));
    assert_eq!(stamps.parse("04.03.2021"), Err(StampError::Form));
    let mut stamps = new_york(Fold::Refuse);
    assert_eq!(stamps.parse("2021-03-04 10:00"), Ok(utc("2021-03-04T15:00:00Z")));
    assert_eq!(stamps.parse("2021-07-04T10:00:00.25"), Ok(utc("2021-07-04T14:00:00.25Z")));
}

#[test]
fn midnight_of_a_daily_bar_is_its_date() {
    let mut stamps = Stamps::new(StampFormat::Iso, None, Fold::Refuse).with(Midnight::Date);
    assert_eq!(stamps.parse("2021-03-04 00:00:00"), Ok(utc("2021-03-04")));
    assert_eq!(stamps.parse("2021-03-04 16:00:00"), Err(StampError::NoZone));
    let mut stamps = new_york(Fold::Refuse);
    assert_eq!(stamps.parse("2021-03-04 00:00:00"), Ok(utc("2021-03-04T05:00:00Z")));
}

#[test]
fn an_hour_that_the_clock_skips_is_refused() {
    let mut stamps = new_york(Fold::Later);
    assert_eq!(stamps.parse("2021-03-14T01:59:00"), Ok(utc("2021-03-14T06:59:00Z")));
    assert_eq!(stamps.parse("2021-03-14T02:30:00"), Err(StampError::Skipped("America/New_York".to_owned())));
    assert_eq!(stamps.parse("2021-03-14T03:00:00"), Ok(utc("2021-03-14T07:00:00Z")));
}

#[test]
fn an_hour_that_the_clock_shows_twice_is_what_the_caller_says() {
    let (earlier, later) = (utc("2021-11-07T05:30:00Z"), utc("2021-11-07T06:30:00Z"));
    let text = "2021-11-07T01:30:00";
    assert_eq!(new_york(Fold::Refuse).parse(text), Err(StampError::Folded(earlier, later)));
    assert_eq!(new_york(Fold::Earlier).parse(text), Ok(earlier));
    assert_eq!(new_york(Fold::Later).parse(text), Ok(later));
    let mut stamps = new_york(Fold::InOrder);
    let read: Vec<_> = ["00:30", "01:00", "01:30", "01:00", "01:30", "02:00"]
        .map(|time| stamps.parse(&format!("2021-11-07 {time}")).unwrap().to_string())
        .to_vec();
    let hours = ["04:30", "05:00", "05:30", "06:00", "06:30", "07:00"];
    assert_eq!(read, hours.map(|time| format!("2021-11-07T{time}:00Z")));
}

#[test]
fn patterns_and_counts_are_read() {
    let zone = || Some(TimeZone::get("Europe/London").unwrap());
    let mut pattern = Stamps::new(StampFormat::Pattern("%d/%m/%Y %H:%M".to_owned()), zone(), Fold::Refuse);
    assert_eq!(pattern.parse("04/07/2021 10:00"), Ok(utc("2021-07-04T09:00:00Z")));
    assert_eq!(pattern.parse("2021-07-04"), Err(StampError::Form));
    let mut dates = Stamps::new(StampFormat::Pattern("%d.%m.%Y".to_owned()), None, Fold::Refuse);
    assert_eq!(dates.parse("04.07.2021"), Ok(utc("2021-07-04")));
    let mut millis = Stamps::new(StampFormat::Unix { per_second: 1_000 }, None, Fold::Refuse);
    assert_eq!(millis.parse("1625392800123"), Ok(utc("2021-07-04T10:00:00.123Z")));
    assert_eq!(millis.parse("soon"), Err(StampError::Form));
}

proptest! {
    #[test]
    fn every_moment_is_read_as_jiff_reads_it(seconds in -2_000_000_000i64..4_000_000_000, micros in 0i64..1_000_000) {
        let moment = jiff::Timestamp::from_microsecond(seconds * SECOND + micros).unwrap();
        let mut stamps = new_york(Fold::Earlier);
        let expected = Ok(Timestamp::from_micros(moment.as_microsecond()));
        prop_assert_eq!(&stamps.parse(&moment.to_string()), &expected);
        let zone = TimeZone::get("America/New_York").unwrap();
        let zoned = moment.to_zoned(zone.clone());
        prop_assert_eq!(stamps.parse(&zoned.timestamp().display_with_offset(zoned.offset()).to_string()), expected);
        // The local clock, held against jiff's own choice of the earlier of two.
        let local = zoned.datetime();
        let theirs = zone.to_ambiguous_timestamp(local).earlier().unwrap();
        let ours = stamps.parse(&local.to_string()).unwrap();
        prop_assert_eq!(ours.micros(), theirs.as_microsecond());
    }
}
