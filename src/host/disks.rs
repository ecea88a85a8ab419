//! Which disk a path is on, and which disks there are.
//!
//! Must not know: what is limited about them.

use super::cgroups::Mount;
use crate::jail::limits::facts::{NoDisk, Weighting};
use crate::jail::path::AbsPath;
use crate::spec::Device;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Layers of file systems over file systems that are followed; the kernel stacks two.
const DEEPEST: u32 = 8;

/// Every disk of which something is mounted, each once.
pub fn mounted(mounts: &[Mount]) -> Vec<Device> {
    let mut found: Vec<Device> = mounts.iter().filter_map(of_mount).filter_map(|d| whole(d).ok()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The disks that a path is on: several where a directory is made of several.
pub fn of_path(path: &AbsPath, mounts: &[Mount]) -> Result<Vec<Device>, NoDisk> {
    let mut found = Vec::new();
    collect(Path::new(path.as_str()), mounts, DEEPEST, &mut found)?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn collect(path: &Path, mounts: &[Mount], depth: u32, found: &mut Vec<Device>) -> Result<(), NoDisk> {
    let missing = |error: std::io::Error| NoDisk::Missing(error.raw_os_error().unwrap_or(0));
    // Links are followed: it is the disk of what is there that is limited.
    let path = path.canonicalize().map_err(missing)?;
    let meta = path.metadata().map_err(missing)?;
    let own = device(meta.dev());
    if own.major != 0 {
        found.push(whole(own)?);
        return Ok(());
    }
    // Without a device of its own: what is mounted there says what it is made of. The last one counts.
    let over = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    let Some(mount) = over.rev().max_by_key(|mount| mount.point.len()) else {
        return Err(NoDisk::FileSystem("an unknown file system".into()));
    };
    if let Some(device) = of_mount(mount) {
        found.push(whole(device)?);
        return Ok(());
    }
    let layers = layers(&mount.options);
    if mount.kind != "overlay" || layers.is_empty() || depth == 0 {
        return Err(NoDisk::FileSystem(mount.kind.clone()));
    }
    for layer in layers {
        // Of a container they may be out of sight.
        let seen = collect(Path::new(&layer), mounts, depth - 1, found);
        seen.map_err(|_| NoDisk::FileSystem(format!("overlay of {layer}")))?;
    }
    Ok(())
}

/// The directories that an overlay is made of, from its options (lowerdir, upperdir).
fn layers(options: &str) -> Vec<String> {
    let mut found = Vec::new();
    for option in options.split(',') {
        if let Some(upper) = option.strip_prefix("upperdir=") {
            found.push(upper.to_owned());
        } else if let Some(lower) = option.strip_prefix("lowerdir=").or(option.strip_prefix("lowerdir+=")) {
            found.extend(lower.split(':').filter(|layer| !layer.is_empty()).map(str::to_owned));
        }
    }
    found
}

/// The device that a mount is of. Some file systems on a disk (btrfs) have numbers of their own, and
/// name it as what is mounted.
fn of_mount(mount: &Mount) -> Option<Device> {
    let (major, minor) = mount.device;
    if major != 0 {
        return Some(Device { major, minor });
    }
    let meta = Path::new(&mount.source).metadata().ok().filter(|_| mount.source.starts_with("/dev/"))?;
    meta.file_type().is_block_device().then(|| device(meta.rdev()))
}

/// A disk itself, or the one that a partition is of: the kernel limits whole disks. Those made by the
/// device mapper are disks of their own: what is limited is what goes to them.
pub fn whole(device: Device) -> Result<Device, NoDisk> {
    let place = format!("/sys/dev/block/{device}");
    if !Path::new(&place).exists() {
        return Err(NoDisk::Missing(2));
    }
    if !Path::new(&format!("{place}/partition")).exists() {
        return Ok(device);
    }
    let disk = std::fs::canonicalize(&place)
        .ok()
        .and_then(|path| std::fs::read_to_string(path.parent()?.join("dev")).ok());
    let disk = disk.and_then(|text| crate::spec::value::limits::device(text.trim()).ok());
    disk.ok_or(NoDisk::Missing(2))
}

/// What shares disks by weight here.
pub fn weighting() -> Weighting {
    let disks = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut schedulers =
        disks.filter_map(|disk| std::fs::read_to_string(disk.path().join("queue/scheduler")).ok());
    if schedulers.any(|text| text.contains("[bfq]")) {
        return Weighting::Bfq;
    }
    let model = std::fs::read_to_string("/sys/fs/cgroup/io.cost.qos").unwrap_or_default();
    if model.contains("enable=1") { Weighting::Cost } else { Weighting::Nothing }
}

fn device(number: u64) -> Device {
    let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
    Device {
        major: u32::try_from(major).unwrap_or(u32::MAX),
        minor: u32::try_from(minor).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_an_overlay() {
        let options = "rw,lowerdir=/a:/b,upperdir=/c,workdir=/w";
        assert_eq!(layers(options), ["/a", "/b", "/c"]);
        assert_eq!(layers("rw,size=5"), [""; 0]);
    }

    #[test]
    fn what_is_on_no_disk_is_told() {
        let mounts = super::super::cgroups::mounts(&std::fs::read_to_string("/proc/self/mountinfo").unwrap());
        let of = |path: &str| of_path(&AbsPath::new(path).unwrap(), &mounts);
        assert_eq!(of("/proc"), Err(NoDisk::FileSystem("proc".into())));
        assert_eq!(of("/nonexistent"), Err(NoDisk::Missing(2)));
        assert_eq!(whole(Device { major: 4095, minor: 77 }), Err(NoDisk::Missing(2)));
        for disk in mounted(&mounts) {
            assert_eq!(whole(disk), Ok(disk), "a whole disk is its own");
        }
    }
}
