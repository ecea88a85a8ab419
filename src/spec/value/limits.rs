//! Values of `[limits]`: sizes of memory, shares and sets of CPUs, rates.
//!
//! Errors of the functions are clauses that complete "`cpu` in [limits] ", so that flags use them,
//! too. Must not know: how many CPUs or disks a host has.
#![forbid(unsafe_code)]

use super::{Item, Reader, scalar, type_name};
use crate::problem::{At, Problem};
use crate::spec::keys;
use crate::spec::{Device, IoEntry, OnMemory, Rate};
use std::ops::RangeInclusive;
use toml::de::DeValue;

/// No program can be executed with less; the kernel would kill it without a word of why.
const LEAST_MEMORY: u64 = 1 << 20;
/// No machine has more.
const MOST_MEMORY: u64 = 1 << 50;
/// The kernel's least quota is 1 ms (min_cfs_quota_period), of a period of 100 ms.
const LEAST_CPU: u32 = 10;
/// The most CPUs that a kernel can be built for (NR_CPUS).
const MOST_CPUS: u32 = 8192;

impl Reader<'_> {
    /// Bytes of memory that a program can start with.
    pub fn memory(&mut self, item: &Item<'_>) -> Option<At<u64>> {
        let size = self.bytes(item, "a size")?;
        self.parsed(item, memory_bytes(size.value))
    }

    /// Bytes of swap, perhaps none.
    pub fn swap(&mut self, item: &Item<'_>) -> Option<At<u64>> {
        let size = self.bytes(item, "a size")?;
        self.parsed(item, swap_bytes(size.value))
    }

    /// A share of CPUs, in thousandths of one.
    pub fn cpu(&mut self, item: &Item<'_>) -> Option<At<u32>> {
        match item.value {
            DeValue::String(text) => self.parsed(item, cpu(text)),
            DeValue::Integer(n) => self.parsed(item, Err(without_unit(n.as_str()))),
            DeValue::Float(n) => self.parsed(item, Err(without_unit(n.as_str()))),
            _ => {
                self.wrong_type(item, "a share of CPUs such as \"30%\"");
                None
            }
        }
    }

    /// A set of CPUs.
    pub fn cpus(&mut self, item: &Item<'_>) -> Option<At<Vec<u32>>> {
        let text = self.string(item)?;
        self.parsed(item, cpus(&text.value))
    }

    /// Bytes a second, operations a second, or both.
    pub fn rate(&mut self, item: &Item<'_>) -> Option<At<Rate>> {
        let parsed = match item.value {
            DeValue::String(text) => rate(text),
            DeValue::Integer(n) => rate(n.as_str()),
            _ => {
                self.wrong_type(item, "a rate such as \"10M\"");
                return None;
            }
        };
        self.parsed(item, parsed)
    }

    /// The numbers of a block device.
    pub fn device(&mut self, item: &Item<'_>) -> Option<Device> {
        let text = self.string(item)?;
        self.parsed(item, device(&text.value)).map(|device| device.value)
    }

    /// `io`: tables.
    pub fn io_entries(&mut self, item: &Item<'_>, target: &mut Vec<At<IoEntry>>) {
        for element in self.elements(item) {
            if !element.value.is_table() {
                self.wrong_type(&element, "a table");
                continue;
            }
            let Some(entry) = self.entry(&element, keys::IO_ENTRY, &[]) else { continue };
            match (&entry.path, entry.device, entry.read.or(entry.write)) {
                (None, None, _) => self.unfit(&element, "names neither a `path` nor a `device`"),
                (Some(_), Some(_), _) => self.unfit(&element, "names both a `path` and a `device`"),
                (_, _, None) => self.unfit(&element, "limits neither `read` nor `write`"),
                _ => target.push(At::new(entry, element.at)),
            }
        }
    }

    /// `on-memory`: a table.
    pub fn on_memory(&mut self, item: &Item<'_>) -> Option<At<OnMemory>> {
        if !item.value.is_table() {
            let what = format!("{} must be a table, not {}", item.name(), type_name(item.value));
            self.note(Problem::usage(what).at(item.at).help(item.example()));
            return None;
        }
        let entry = self.entry(item, keys::ON_MEMORY, &["above", "run"])?;
        Some(At::new(entry, item.at))
    }
}

/// Bytes of memory.
pub fn memory(text: &str) -> Result<u64, String> {
    memory_bytes(scalar::size(text)?)
}

/// Bytes of swap, perhaps none.
pub fn swap(text: &str) -> Result<u64, String> {
    swap_bytes(scalar::size(text)?)
}

/// An integer of these bounds.
pub fn integer(text: &str, bounds: &RangeInclusive<i64>) -> Result<i64, String> {
    let (least, most) = (bounds.start(), bounds.end());
    let wrong = || format!("must be an integer from {least} to {most}, not `{text}`");
    text.parse().ok().filter(|n| bounds.contains(n)).ok_or_else(wrong)
}

fn memory_bytes(bytes: u64) -> Result<u64, String> {
    match bytes {
        ..LEAST_MEMORY => Err("must be at least 1M: no program starts with less".into()),
        MOST_MEMORY.. => Err("must be less than 1024T: no machine has as much".into()),
        bytes => Ok(bytes),
    }
}

fn swap_bytes(bytes: u64) -> Result<u64, String> {
    if bytes < MOST_MEMORY {
        Ok(bytes)
    } else {
        Err("must be less than 1024T: no machine has as much".into())
    }
}

/// `30%` or `2.5 cores`, in thousandths of a CPU.
pub fn cpu(text: &str) -> Result<u32, String> {
    let (number, unit) =
        match (text.strip_suffix('%'), text.strip_suffix("cores").or(text.strip_suffix("core"))) {
            (Some(number), _) => (number, 10),
            (None, Some(number)) => (number, 1000),
            (None, None) if thousandths(text).is_some() => return Err(without_unit(text)),
            (None, None) => {
                return Err(format!("must be a share such as \"30%\" or \"2.5 cores\", not `{text}`"));
            }
        };
    let share = thousandths(number.trim_end()).and_then(|n| n.checked_mul(unit));
    let share =
        share.ok_or_else(|| format!("must be a share such as \"30%\" or \"2.5 cores\", not `{text}`"))?;
    match u32::try_from(share.div_ceil(1000)) {
        Ok(share) if share < LEAST_CPU => Err(format!("must be at least 1%, not `{text}`")),
        Ok(share) if share <= MOST_CPUS * 1000 => Ok(share),
        _ => Err(format!("must be at most {MOST_CPUS} cores, not `{text}`")),
    }
}

fn without_unit(number: &str) -> String {
    format!("needs its unit: \"{number}%\" is a part of one CPU, \"{number} cores\" are that many CPUs")
}

/// A decimal number with up to three digits behind the point, times a thousand.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
        return None;
    }
    let part: u64 = format!("{fraction:0<3}").parse().ok()?;
    Some(whole.parse::<u64>().ok()? * 1000 + part)
}

/// `0-3,6`, in order, each once.
pub fn cpus(text: &str) -> Result<Vec<u32>, String> {
    let wrong = || format!("must be numbers of CPUs and ranges such as \"0-3,6\", not `{text}`");
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u32>().ok().filter(|n| digits && *n < MOST_CPUS)
    };
    let mut found = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?);
        if first > last {
            return Err(format!("has the range {first}-{last}, which is empty"));
        }
        found.extend(first..=last);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// `10M`, `500 iops`, or both with a comma.
pub fn rate(text: &str) -> Result<Rate, String> {
    let mut rate = Rate::default();
    for part in text.split(',').map(str::trim) {
        let (field, number) = match part.strip_suffix("iops") {
            Some(number) => (&mut rate.operations, number.trim_end()),
            None => (&mut rate.bytes, part.strip_suffix("/s").unwrap_or(part)),
        };
        let value = scalar::size(number)
            .ok()
            .filter(|_| !number.contains('.') || number.ends_with(char::is_alphabetic));
        let value = value.ok_or_else(|| {
            format!(
                "must be bytes a second such as \"10M\", or operations such as \"500 iops\", not `{part}`"
            )
        })?;
        if value == 0 {
            return Err("must be more than 0".into());
        }
        // v1 counts operations in 32 bits.
        if part.ends_with("iops") && value > u64::from(u32::MAX) || value >= MOST_MEMORY {
            return Err(format!("is more than any disk can do: `{part}`"));
        }
        if field.replace(value).is_some() {
            return Err(format!("has two of a kind: `{text}`"));
        }
    }
    Ok(rate)
}

/// `8:0`.
pub fn device(text: &str) -> Result<Device, String> {
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u32>().ok())?;
    let numbers = text.split_once(':').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    // Twelve and twenty bits (MAJOR and MINOR of linux/kdev_t.h).
    match numbers {
        Some((major @ ..4096, minor @ ..1_048_576)) => Ok(Device { major, minor }),
        _ => Err(format!("must be the numbers of a disk such as \"8:0\", not `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_cpus() {
        for (text, share) in [
            ("30%", 300),
            ("150%", 1500),
            ("12.5%", 125),
            ("1%", 10),
            ("2.5 cores", 2500),
            ("1 core", 1000),
            ("0.01cores", 10),
            ("8192 cores", 8_192_000),
        ] {
            assert_eq!(cpu(text), Ok(share), "{text}");
        }
        for (text, part) in [
            ("30", "\"30%\" is a part of one CPU, \"30 cores\" are that many CPUs"),
            ("0%", "at least 1%"),
            ("0.5%", "at least 1%"),
            ("-5%", "a share such as"),
            ("", "a share such as"),
            ("%", "a share such as"),
            ("1.2345 cores", "a share such as"),
            ("9000 cores", "at most 8192 cores"),
            ("999999999%", "at most 8192 cores"),
            ("1e3%", "a share such as"),
        ] {
            assert!(cpu(text).unwrap_err().contains(part), "{text}: {:?}", cpu(text));
        }
    }

    #[test]
    fn sets_of_cpus() {
        assert_eq!(cpus("0"), Ok(vec![0]));
        assert_eq!(cpus("6, 0-3,2"), Ok(vec![0, 1, 2, 3, 6]));
        for text in ["", "a", "-1", "1-", "0-9999", "1,,2", "+1"] {
            assert!(cpus(text).unwrap_err().contains("\"0-3,6\""), "{text}");
        }
        assert!(cpus("3-1").unwrap_err().contains("empty"));
    }

    #[test]
    fn rates() {
        let both = |bytes, operations| Ok(Rate { bytes, operations });
        assert_eq!(rate("10M"), both(Some(10 << 20), None));
        assert_eq!(rate("1.5G/s"), both(Some(3 << 29), None));
        assert_eq!(rate("500 iops"), both(None, Some(500)));
        assert_eq!(rate("10M, 500iops"), both(Some(10 << 20), Some(500)));
        for (text, part) in [
            ("0", "more than 0"),
            ("0 iops", "more than 0"),
            ("-1M", "bytes a second"),
            ("fast", "bytes a second"),
            ("", "bytes a second"),
            ("10M, 20M", "two of a kind"),
            ("5G iops", "more than any disk"),
            ("2000T", "more than any disk"),
        ] {
            assert!(rate(text).unwrap_err().contains(part), "{text}: {:?}", rate(text));
        }
    }

    #[test]
    fn devices() {
        assert_eq!(device("8:0"), Ok(Device { major: 8, minor: 0 }));
        for text in ["8", "8:", ":0", "a:b", "4096:0", "8:1048576", "8:-1", "/dev/sda"] {
            assert!(device(text).is_err(), "{text}");
        }
    }
}
