//! The map as its readers and their programs see it.

use std::num::NonZeroU32;

use market::Timestamp;
use models::Target;
use spec::{BundleId, Digest};

use super::{file, inline};
use crate::{Explanation, Grain, Method, Reliance, page};

/// Three bars of two features; what it misses is 0.2 %.
pub(crate) fn explanation() -> Explanation {
    let times = ["2021-03-01", "2021-03-02", "2021-03-03"].map(|text| text.parse::<Timestamp>().unwrap());
    Explanation {
        bundle: BundleId(Digest::of(b"bundle")),
        bar: times[2],
        row: Digest::of(b"row"),
        target: Target::ExpectedReturn,
        method: Method::IntegratedGradients { steps: NonZeroU32::new(64).unwrap() },
        grain: Grain::Cell,
        features: vec!["rsi_14".to_owned(), "volume_z_20".to_owned()],
        bars: times.to_vec(),
        score: 0.012,
        baseline: 0.004,
        values: vec![0.001, 0.001, 0.002, -0.003, 0.007, -0.002],
        errors: None,
        residual: -0.002,
        tolerance: 0.005,
        range: [-0.1, 0.4],
        windows: 256,
        attention: Some(vec![0.2, 0.3, 0.5]),
        reliance: vec![
            Reliance { feature: "rsi_14".to_owned(), moved: 0.001 },
            Reliance { feature: "volume_z_20".to_owned(), moved: 0.004 },
        ],
    }
}

/// Tags are closed in the order in which they are opened.
fn is_well_formed(text: &str) -> bool {
    let mut open = Vec::new();
    for tag in text.split('<').skip(1).filter(|tag| !tag.starts_with(['!', '?'])) {
        let name: String = tag.trim_start_matches('/').chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !["meta", "br"].contains(&name.as_str()) {
            open.push(name);
        }
    }
    open.is_empty()
}

#[test]
fn each_value_is_a_cell_with_its_side_its_strength_and_its_words() {
    let map = file(&explanation());
    assert!(map.starts_with("<svg") && is_well_formed(&map), "{map}");
    assert_eq!(map.matches("<title>rsi_14, ").count() + map.matches("<title>volume_z_20, ").count(), 6);
    // The strongest is painted whole, another by its part of that, on the side of its sign.
    let cell = |words: &str| map.split("<rect ").find(|rect| rect.contains(words)).unwrap().to_owned();
    let strongest = cell("<title>rsi_14, 2021-03-03: +0.700 %</title>");
    assert!(strongest.contains("class=\"up\"") && strongest.contains("fill-opacity=\"1.000\""), "{strongest}");
    let lower = cell("<title>volume_z_20, 2021-03-02: −0.300 %</title>");
    assert!(lower.contains("class=\"down\"") && lower.contains("fill-opacity=\"0.429\""), "{lower}");
    assert!(map.contains("attention, 2021-03-02: 30.0 %"));
    for sum in [">+1.00 %<", ">−0.400 %<"] {
        assert!(map.contains(sum), "{sum}");
    }
}

#[test]
fn the_newest_bar_has_its_date_and_dates_do_not_run_into_each_other() {
    let bars: Vec<Timestamp> =
        (0..60).map(|day| Timestamp::default().plus_seconds(86_400.0 * f64::from(day))).collect();
    let wide =
        Explanation { values: vec![0.001; 120], attention: None, bars: bars.clone(), bar: bars[59], ..explanation() };
    let map = inline(&wide);
    let dated = |bar: Timestamp| map.contains(&format!("text-anchor=\"middle\">{}</text>", bar.date()));
    assert!(dated(bars[59]) && !dated(bars[58]));
    assert!((5..=10).contains(&bars.iter().filter(|bar| dated(**bar)).count()));
    assert!(!map.contains("attention"));
}

#[test]
fn features_or_bars_alone_make_a_map_of_one_column_or_row() {
    let features = Explanation { grain: Grain::Feature, values: vec![0.004, -0.001], ..explanation() };
    let map = inline(&features);
    assert!(map.contains("<title>volume_z_20: −0.100 %</title>") && !map.contains(">2021-03-01<"));
    let bars = Explanation { grain: Grain::Bar, values: vec![0.001, 0.0, -0.002], ..explanation() };
    assert!(inline(&bars).contains("<title>all features, 2021-03-03: −0.200 %</title>"));
    let flat = Explanation { values: vec![0.0; 6], ..explanation() };
    assert!(!inline(&flat).contains("NaN"));
}

#[test]
fn the_page_holds_map_drivers_reliance_and_what_it_rests_on() {
    let page = page(&explanation());
    assert!(is_well_formed(&page));
    for needle in ["<svg", "rsi_14 raises it by 1.00 %", "+0.400 %", "-2.000e-3", &Digest::of(b"bundle").to_string()] {
        assert!(page.contains(needle), "{needle}");
    }
    assert!(!page.contains("http://"), "it needs nothing else");
    let namespace = " xmlns=\"http://www.w3.org/2000/svg\"";
    assert_eq!(file(&explanation()).replace(namespace, ""), inline(&explanation()));
}
