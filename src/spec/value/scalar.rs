//! Numbers written as strings: file modes, sizes, durations.
//!
//! Errors are clauses that complete "`umask` in [process] ". Must not know: TOML, or spans.
#![forbid(unsafe_code)]

/// Longest duration: poll(2) counts milliseconds in an i32.
const LONGEST: u64 = i32::MAX as u64;

/// Permission bits in octal, at most `max`.
pub fn octal(text: &str, max: u32) -> Result<u32, String> {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| digits && *mode <= max)
        .ok_or_else(|| format!("must be octal digits, at most {max:04o}, not `{text}`"))
}

/// Bytes: digits, perhaps with a fraction, and K, M, G or T (powers of 1024).
pub fn size(text: &str) -> Result<u64, String> {
    let not_a_size = || format!("must be a size such as 64K, 512M, 1.5G or a number of bytes, not `{text}`");
    let (number, unit) = [('K', 1_u128 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)]
        .into_iter()
        .find_map(|(letter, unit)| Some((text.strip_suffix(letter)?, unit)))
        .unwrap_or((text, 1));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    // Twelve digits keep the product below far within 128 bits; more would mean nothing.
    let fraction_fits = fraction.len() <= 12 && (unit > 1 || !number.contains('.'));
    if !digits(whole) || !digits(fraction) || !fraction_fits {
        return Err(not_a_size());
    }
    let scale = fraction.bytes().fold(1_u128, |scale, _| scale * 10);
    let part = fraction.parse::<u128>().map_err(|_| not_a_size())? * unit / scale;
    let bytes = whole.parse::<u128>().ok().and_then(|n| n.checked_mul(unit)?.checked_add(part));
    bytes
        .and_then(|bytes| i64::try_from(bytes).ok())
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or_else(|| format!("must be less than 8 EiB, not `{text}`"))
}

/// Milliseconds: digits and ms, s, m or h; or `0`.
pub fn duration(text: &str) -> Result<u64, String> {
    let cut = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(cut);
    let factor = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "" if number == "0" => Some(0),
        _ => None,
    };
    let (Some(factor), false) = (factor, number.is_empty()) else {
        return Err(format!("must be a duration such as 500ms, 30s, 2m, 1h or 0, not `{text}`"));
    };
    let milliseconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    milliseconds.filter(|n| *n <= LONGEST).ok_or_else(|| format!("must be at most 596h, not `{text}`"))
}
