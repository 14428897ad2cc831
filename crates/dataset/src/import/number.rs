//! Decimal numbers to floats: exactly what the standard library gives, sooner for the short ones that bars are made of.

/// Powers of ten that a float holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Digits that a float holds exactly, as an integer below 2^53.
const DIGITS_MAX: usize = 15;

/// Reads `text`, correctly rounded; `None` when it is no number.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    short(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

/// Of at most 15 digits: integer and power of ten are both exact, so one division rounds once (Clinger 1990).
fn short(text: &[u8]) -> Option<f64> {
    let (is_negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    let (mut mantissa, mut count, mut decimals) = (0u64, 0, None);
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                count += 1;
                if count > DIGITS_MAX {
                    return None;
                }
            }
            b'.' if decimals.is_none() => decimals = Some(count),
            _ => return None,
        }
    }
    if count == 0 {
        return None;
    }
    let magnitude = mantissa as f64 / POWERS[count - decimals.unwrap_or(count)];
    Some(if is_negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn standard(text: &str) -> Option<u64> {
        text.parse::<f64>().ok().map(f64::to_bits)
    }

    proptest! {
        #[test]
        fn any_text_reads_as_the_standard_library_reads_it(text in r"-?[0-9]{0,18}\.?[0-9]{0,18}(e[0-9]{1,2})?|[a-z0-9.+-]{0,8}") {
            prop_assert_eq!(parse(text.as_bytes()).map(f64::to_bits), standard(&text));
        }

        #[test]
        fn any_float_survives_its_text(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
            prop_assert_eq!(parse(value.to_string().as_bytes()).map(f64::to_bits), Some(value.to_bits()));
        }
    }

    #[test]
    fn odd_ends_are_as_in_the_standard_library() {
        for text in ["", "-", ".", "-.", "5.", ".5", "-0", "00012.50", "1..2", "nan", "inf", "+1", "1_000", " 1"] {
            assert_eq!(parse(text.as_bytes()).map(f64::to_bits), standard(text), "{text}");
        }
    }
}
