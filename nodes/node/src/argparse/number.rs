//! Numbers in Python's syntax.

/// Reads a whole number as Python's `int()` does: spaces around it, a sign, single underscores between digits
/// and leading zeros are fine. For `value_parser`.
///
/// # Errors
///
/// The message `argparse` gives for what `int()` refuses (`1.5`, `1e2`, an empty text), and a message of its
/// own for what does not fit 64 bits.
pub fn int(text: &str) -> Result<i64, String> {
    let number = text.trim();
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    if digits.is_empty()
        || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        || !underscores_are_between_digits(digits)
    {
        return Err(format!("invalid int value: '{text}'"));
    }
    number.replace('_', "").parse().map_err(|_| format!("int value out of range: '{text}'"))
}

/// Reads a number as Python's `float()` does: `1e-1`, `.5`, `5.`, `nan`, `inf`, `infinity` in any case, spaces
/// around it, single underscores between digits. For `value_parser`.
///
/// # Errors
///
/// The message `argparse` gives for what `float()` refuses.
pub fn float(text: &str) -> Result<f64, String> {
    let number = text.trim();
    let parsed =
        if underscores_are_between_digits(number) { number.replace('_', "").parse().ok() } else { None };
    parsed.ok_or_else(|| format!("invalid float value: '{text}'"))
}

fn underscores_are_between_digits(number: &str) -> bool {
    let bytes = number.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'_')
        .all(|(at, _)| is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int_is_pythons() {
        for (text, value) in
            [("3", 3), ("+3", 3), ("-1", -1), (" 3 ", 3), ("1_00", 100), ("007", 7), ("\t-0\n", 0)]
        {
            assert_eq!(int(text), Ok(value), "{text:?}");
        }
        for text in ["", " ", "1.5", "1e2", "abc", "_1", "1_", "1__0", "+-1", "- 1", "0x10", "+", "1 0"] {
            assert_eq!(int(text), Err(format!("invalid int value: '{text}'")), "{text:?}");
        }
        assert_eq!(int("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(int("-9223372036854775808"), Ok(i64::MIN));
        assert!(int("9223372036854775808").is_err_and(|message| message.contains("out of range")));
    }

    #[test]
    fn float_is_pythons() {
        for (text, value) in
            [("1e-1", 0.1), (" .5", 0.5), ("5.", 5.0), ("+1_0.2_5", 10.25), ("-2E+2", -200.0)]
        {
            assert_eq!(float(text), Ok(value), "{text:?}");
        }
        for text in ["inf", "-Infinity", "+INF"] {
            assert!(float(text).is_ok_and(f64::is_infinite), "{text:?}");
        }
        assert!(float("NaN").is_ok_and(f64::is_nan));
        for text in ["", ".", "e5", "1e", "1_.5", "1._5", "1e_5", "_1", "0x1p3", "1,5", "in_f", "1 2"] {
            assert_eq!(float(text), Err(format!("invalid float value: '{text}'")), "{text:?}");
        }
    }
}
