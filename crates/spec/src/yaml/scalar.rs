//! A scalar of YAML 1.2's core schema, in decimal.

use saphyr_parser::ScalarStyle;
use serde_json::{Number, Value};

/// The value of a scalar as written; the error says why a number is none.
pub(super) fn value(text: &str, style: ScalarStyle) -> Result<Value, &'static str> {
    if style != ScalarStyle::Plain {
        return Ok(Value::String(text.to_owned()));
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Ok(Value::Null),
        "true" | "True" | "TRUE" => Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => Ok(Value::Bool(false)),
        _ if is_endless(text) => Err("a number must be finite"),
        _ if !is_number(text) => Ok(Value::String(text.to_owned())),
        _ => number(text),
    }
}

fn number(text: &str) -> Result<Value, &'static str> {
    if !text.contains(['.', 'e', 'E']) {
        let whole = text.strip_prefix('+').unwrap_or(text);
        return whole
            .parse::<u64>()
            .map(Number::from)
            .or_else(|_| whole.parse::<i64>().map(Number::from))
            .map(Value::Number)
            .map_err(|_| "the whole number is too large");
    }
    let real: f64 = text.parse().map_err(|_| "the number cannot be read")?;
    Number::from_f64(real).map(Value::Number).ok_or("a number must be finite")
}

fn is_endless(text: &str) -> bool {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(bare, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_number(text: &str) -> bool {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match bare.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (bare, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    has_digits && digits(whole) && digits(fraction) && exponent.is_none_or(|part| !part.is_empty() && digits(part))
}
