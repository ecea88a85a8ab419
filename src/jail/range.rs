//! The user namespace of a jail with `user-namespace = true`: which ids exist in it, and who they are
//! outside and on disk.
//!
//! Must not know: how the maps are written, or which range is free (that is `host`).
#![forbid(unsafe_code)]

use super::Ids;
use std::collections::BTreeSet;

/// Ids inside: 0 to [`LAST`], and [`NOBODY`].
pub const LAST: u32 = COUNT - 2;

/// How many ids of the host one jail has.
pub const COUNT: u32 = 4096;

/// nobody and nogroup, which programs use by number; it takes the last id of the range.
pub const NOBODY: u32 = 65534;

/// A block of host ids that belongs to one jail.
///
/// ```text
///   inside         outside              on the disk of a `write` directory
///   0              first                first (never the host's root)
///   1 to 4094      first + the same     the same if it owns a `write` directory, else as outside
///   65534          first + 4095         likewise
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    first: u32,
}

/// Users and groups of the host that are themselves inside, on the disk of `write` directories:
/// those whose directories these are. As any other the jail's root could otherwise leave set-id
/// files behind, for somebody outside to execute.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Owners {
    /// Users.
    pub uids: BTreeSet<u32>,
    /// Groups.
    pub gids: BTreeSet<u32>,
}

impl Owners {
    /// Most of each: a map must fit into one page.
    pub const MOST: usize = 64;

    /// Notes the owner of a `write` directory, or the program's own ids.
    pub fn add(&mut self, ids: Ids) {
        let fits = |id: &u32| *id != 0 && Range::has(*id);
        self.uids.extend(Some(ids.uid).filter(fits));
        self.gids.extend(Some(ids.gid).filter(fits));
    }
}

/// One line of /proc/PID/uid_map (user_namespaces(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl Range {
    /// The block that begins at `first`; `None` if it would reach ids that are used inside, or the
    /// end of all ids.
    pub fn new(first: u32) -> Option<Self> {
        (first > NOBODY && first < u32::MAX - COUNT).then_some(Range { first })
    }

    /// Who uid or gid 0 of the jail is on the host, and whom the files belong to that it makes.
    pub fn root(self) -> u32 {
        self.first
    }

    /// Whether there is such an id inside.
    pub fn has(inside: u32) -> bool {
        inside <= LAST || inside == NOBODY
    }

    /// The host's number of an id inside; of one that is not there, nobody's.
    fn id_outside(self, inside: u32) -> u32 {
        if inside <= LAST { self.first + inside } else { self.first + LAST + 1 }
    }

    fn id_on_disk(self, inside: u32, owners: &BTreeSet<u32>) -> u32 {
        if owners.contains(&inside) { inside } else { self.id_outside(inside) }
    }

    /// Ids inside as the host sees them.
    pub fn outside(self, inside: Ids) -> Ids {
        Ids { uid: self.id_outside(inside.uid), gid: self.id_outside(inside.gid) }
    }

    /// Ids inside as they are written to the disk of a `write` directory.
    pub fn on_disk(self, inside: Ids, owners: &Owners) -> Ids {
        Ids { uid: self.id_on_disk(inside.uid, &owners.uids), gid: self.id_on_disk(inside.gid, &owners.gids) }
    }

    /// Whether the owner of a `write` directory is, or can be made, somebody inside. The kernel lets
    /// nobody write to a file whose owner or group is not.
    pub fn can_show(self, on_disk: u32) -> bool {
        on_disk != 0 && Range::has(on_disk) || (self.first..self.first + COUNT).contains(&on_disk)
    }

    /// The map of the jail's user namespace, for uids and gids alike.
    pub fn processes(self) -> Vec<Extent> {
        self.map(|inside| inside)
    }

    /// The map of its id-mapped mounts (mount_setattr(2)), for uids or for gids: "inside" are the ids
    /// on disk. The host's root is not among them: no set-uid file of root can be made, and what only
    /// root may read stays unread.
    pub fn files(self, owners: &BTreeSet<u32>) -> Vec<Extent> {
        self.map(|inside| self.id_on_disk(inside, owners))
    }

    /// One extent for each run of ids whose counterparts follow each other, too.
    fn map(self, counterpart: impl Fn(u32) -> u32) -> Vec<Extent> {
        let mut map: Vec<Extent> = Vec::new();
        for id in (0..=LAST).chain([NOBODY]) {
            let (inside, outside) = (counterpart(id), self.id_outside(id));
            match map.last_mut() {
                Some(e) if e.inside + e.count == inside && e.outside + e.count == outside => e.count += 1,
                _ => map.push(Extent { inside, outside, count: 1 }),
            }
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u32 = 0x7000_1000;

    fn range() -> Range {
        Range::new(FIRST).unwrap()
    }

    fn owners(ids: &[u32]) -> Owners {
        let mut owners = Owners::default();
        for id in ids {
            owners.add(Ids { uid: *id, gid: *id });
        }
        owners
    }

    /// As the kernel reads a map, downwards.
    fn down(map: &[Extent], id: u32) -> Option<u32> {
        let extent = map.iter().find(|e| id >= e.inside && id - e.inside < e.count)?;
        Some(extent.outside + (id - extent.inside))
    }

    #[test]
    fn the_block_ends_where_the_next_begins() {
        let map = range().processes();
        assert_eq!(map.len(), 2);
        let outside = [0, 1, LAST, NOBODY].map(|id| down(&map, id).unwrap());
        assert_eq!(outside, [FIRST, FIRST + 1, FIRST + 4094, FIRST + COUNT - 1]);
        for absent in [LAST + 1, NOBODY - 1, NOBODY + 1, u32::MAX] {
            assert_eq!(down(&map, absent), None, "{absent}");
            assert!(!Range::has(absent));
        }
    }

    #[test]
    fn on_disk_only_owners_of_directories_are_themselves() {
        let kept = owners(&[0, 33, 34, 1000, 5000, NOBODY, FIRST]);
        assert_eq!(kept.uids, BTreeSet::from([33, 34, 1000, NOBODY]), "root is never kept");
        let (files, processes) = (range().files(&kept.uids), range().processes());
        for id in [33, 34, 1000, NOBODY] {
            assert_eq!(down(&files, id), down(&processes, id), "{id}");
        }
        for id in [0, 1, 6, 32, 35, 42, LAST, LAST + 1, 10_000, FIRST + 33, FIRST + COUNT, FIRST - 1] {
            assert_eq!(down(&files, id), None, "{id}");
        }
        for inside in [0, 1, 35, LAST] {
            assert_eq!(down(&files, FIRST + inside), down(&processes, inside), "{inside}");
        }
        assert_eq!(
            range().files(&owners(&[]).uids),
            [Extent { inside: FIRST, outside: FIRST, count: COUNT }]
        );
    }

    #[test]
    fn words_and_maps_say_the_same() {
        let kept = owners(&[33]);
        for id in [0, 1, 33, LAST, NOBODY] {
            let ids = Ids { uid: id, gid: 0 };
            let outside = range().outside(ids).uid;
            assert_eq!(Some(outside), down(&range().processes(), id));
            assert_eq!(Some(outside), down(&range().files(&kept.uids), range().on_disk(ids, &kept).uid));
        }
        assert_eq!(
            range().outside(Ids { uid: 70_000, gid: 0 }),
            range().outside(Ids { uid: NOBODY, gid: 0 })
        );
        assert!([1, 33, LAST, NOBODY, FIRST, FIRST + 33].into_iter().all(|id| range().can_show(id)));
        assert!([0, LAST + 1, FIRST - 1, FIRST + COUNT].into_iter().all(|id| !range().can_show(id)));
    }

    #[test]
    fn the_longest_map_fits_into_a_page() {
        let most: Vec<u32> = (1..=u32::try_from(Owners::MOST).unwrap()).map(|n| n * 2).collect();
        assert!(range().files(&owners(&most).uids).len() * "4294967295 4294967295 4096\n".len() < 4096);
    }

    #[test]
    fn a_block_does_not_overlap_what_is_inside() {
        for first in [0, NOBODY, u32::MAX - 10] {
            assert_eq!(Range::new(first), None);
        }
    }
}
