//! Numbers written as strings, at their edges.

use super::scalar::{duration, octal, size};

#[test]
fn octal_digits() {
    for (text, mode) in [("0", 0), ("750", 0o750), ("0750", 0o750), ("1777", 0o1777), ("07777", 0o7777)] {
        assert_eq!(octal(text, 0o7777), Ok(mode), "{text}");
    }
    for text in ["", "8", "0o750", "+750", "-1", "10000", "000750", "7 5", "٧٥٠"] {
        assert!(octal(text, 0o7777).is_err(), "{text}");
    }
    assert!(octal("1000", 0o777).is_err());
}

#[test]
fn sizes() {
    let good = [
        ("0", 0),
        ("4096", 4096),
        ("64K", 65536),
        ("512M", 512 << 20),
        ("1.5G", 3 << 29),
        ("0.5T", 1 << 39),
        ("8388607T", 8_388_607 << 40),
        ("9223372036854775807", u64::MAX >> 1),
    ];
    for (text, bytes) in good {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    let bad = [
        "",
        "K",
        ".5G",
        "1.G",
        "1.5",
        "-1",
        "+1",
        "1 G",
        "1g",
        "512MB",
        "1e3",
        "8388608T",
        "9223372036854775808",
        "99999999999999999999999999999999999999999999T",
        "1.0000000000001G",
        "é",
    ];
    for text in bad {
        assert!(size(text).is_err(), "{text}");
    }
}

#[test]
fn durations() {
    for (text, ms) in
        [("0", 0), ("0s", 0), ("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000)]
    {
        assert_eq!(duration(text), Ok(ms), "{text}");
    }
    for text in ["", "s", "30", "1.5s", "-1s", "30 s", "1d", "597h", "99999999999999999999s", "１s"] {
        assert!(duration(text).is_err(), "{text}");
    }
}
