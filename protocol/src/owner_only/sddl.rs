//! What an access list of Windows says, read from Windows' own notation (SDDL): `O:BAD:P(A;;FA;;;SY)(A;ID;FR;;;BU)` is an
//! owner and who may do what. Pure: text in, words out.

/// Rights without which nothing can be read, nor be made readable: what a file holds, its access list, its owner, all.
const READING: u32 = 0x0000_0001 | 0x0004_0000 | 0x0008_0000 | 0x1000_0000 | 0x8000_0000;
/// The rights with names that are none of these.
const NOT_READING: [&str; 15] =
    ["FW", "FX", "GW", "GX", "RC", "SD", "DC", "LC", "SW", "RP", "WP", "DT", "LO", "CR", "KW"];
/// Whoever they are, no list keeps them out: the system, the administrators, and the file's owner by that name.
const ALWAYS: [&str; 3] = ["SY", "BA", "OW"];
/// Everybody.
pub(super) const EVERYBODY: &str = "WD";

/// One line of a list.
struct Entry<'a> {
    kind: &'a str,
    flags: &'a str,
    rights: &'a str,
    whom: &'a str,
}

/// Those whom the list lets read beside `user`, the owner, and those who can anyway; each once. A service's account is
/// let in by nobody but an administrator.
pub(super) fn strangers(text: &str, user: &str) -> Vec<String> {
    let fine = |whom: &str| ALWAYS.contains(&whom) || whom == user || Some(whom) == owner(text) || is_service(whom);
    readers(text).into_iter().filter(|whom| !fine(whom)).collect()
}

/// The services' accounts that the list lets read.
pub(super) fn services(text: &str) -> Vec<String> {
    readers(text).into_iter().filter(|whom| is_service(whom)).collect()
}

/// Whether one of these cannot read.
pub(super) fn keeps_out(text: &str, services: &[String]) -> bool {
    let readers = readers(text);
    services.iter().any(|service| !readers.contains(service))
}

/// The rights of a file of `user`'s and of these services.
pub(super) fn own(user: &str, services: &[String]) -> String {
    let further = services.iter().map(|service| format!("(A;;FA;;;{service})")).collect::<String>();
    format!("D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;{user}){further}")
}

fn readers(text: &str) -> Vec<String> {
    let Some(entries) = entries(text) else { return vec![EVERYBODY.to_owned()] };
    let mut readers: Vec<String> = vec![];
    for entry in entries {
        // What is for things inside of a folder says nothing of itself.
        let counts = entry.kind.ends_with('A') && !pairs(entry.flags).any(|flag| flag == "IO");
        if counts && reads(entry.rights) && !readers.iter().any(|known| known == entry.whom) {
            readers.push(entry.whom.to_owned());
        }
    }
    readers
}

/// None where there is no list, which lets in everybody.
fn entries(text: &str) -> Option<Vec<Entry<'_>>> {
    let list = &text[text.find("D:")? + 2..];
    // A list of what is written down comes last, and lets in nobody.
    let list = list.split("S:").next().unwrap_or_default();
    if list.starts_with("NO_ACCESS_CONTROL") {
        return None;
    }
    let entries = list.split('(').skip(1).filter_map(|entry| {
        let mut fields = entry.split([';', ')']);
        let (kind, flags, rights) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Entry { kind, flags, rights, whom: fields.nth(2)? })
    });
    Some(entries.collect())
}

fn owner(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("O:")?;
    let end = ["G:", "D:"].into_iter().filter_map(|next| rest.find(next)).min();
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// A number, or names of two letters; what is not known here counts as reading.
fn reads(rights: &str) -> bool {
    match rights.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).map_or(true, |rights| rights & READING != 0),
        None => pairs(rights).any(|right| !NOT_READING.contains(&right)),
    }
}

fn pairs(text: &str) -> impl Iterator<Item = &str> {
    (0..text.len()).step_by(2).filter_map(|at| text.get(at..at + 2))
}

/// `NT SERVICE\…`: one service, and not all of them.
fn is_service(whom: &str) -> bool {
    whom.strip_prefix("S-1-5-80-").is_some_and(|numbers| numbers.split('-').count() == 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "S-1-5-21-1-2-3-1001";
    const SERVICE: &str = "S-1-5-80-3402390007-625386779-2305349044-4014524375-2053209094";

    #[test]
    fn strangers_are_found_in_every_form_of_a_list() {
        let check = |text: &str, strangers_are: &[&str]| assert_eq!(strangers(text, ME), strangers_are, "{text}");
        check(&own(ME, &[]), &[]);
        check(&own(ME, &[SERVICE.to_owned()]), &[]);
        check(&format!("O:{ME}G:SYD:PAI(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x1301bf;;;{SERVICE})"), &[]);
        // A person's own folder gives this.
        check(&format!("D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;FA;;;{ME})"), &[]);
        // A folder beside C:\Windows gives this.
        check("D:AI(A;ID;FA;;;BA)(A;ID;FA;;;SY)(A;ID;0x1200a9;;;BU)(A;ID;0x1301bf;;;AU)", &["BU", "AU"]);
        check(&format!("O:{ME}D:(A;;FR;;;WD)(A;;FA;;;WD)"), &["WD"]);
        check("D:(A;;GR;;;S-1-5-21-1-2-3-1002)", &["S-1-5-21-1-2-3-1002"]);
        // Whoever may change the list, or own the file, can read it.
        check("D:(A;;WD;;;BU)(A;;0x80000;;;AU)", &["BU", "AU"]);
        check("D:(XA;;FR;;;BU;(Member_of {SID(BA)}))", &["BU"]);
        // Writing alone, being kept out, and what is for things inside.
        check("D:(A;;FW;;;BU)(D;;FA;;;WD)(A;OICIIO;FA;;;WD)", &[]);
        check("D:P", &[]);
        check("D:P(A;;FA;;;SY)S:AI(AU;SAFA;FA;;;WD)", &[]);
    }

    #[test]
    fn no_list_at_all_lets_in_everybody() {
        for text in ["", "O:BA", "D:NO_ACCESS_CONTROL", "O:BAG:SYD:NO_ACCESS_CONTROL"] {
            assert_eq!(strangers(text, ME), [EVERYBODY], "{text}");
        }
    }

    #[test]
    fn the_owner_by_name_is_no_stranger() {
        assert_eq!(strangers("O:S-1-5-21-9G:BUD:(A;;FA;;;S-1-5-21-9)(A;;FA;;;S-1-5-21-8)", ME), ["S-1-5-21-8"]);
        assert_eq!(strangers("O:LAD:(A;;FA;;;LA)", ME), Vec::<String>::new());
    }

    #[test]
    fn one_service_is_let_in_and_not_all_of_them() {
        let folder = format!("O:BAD:P(A;OICI;FA;;;SY)(A;OICI;0x1301bf;;;{SERVICE})(A;OICI;FA;;;S-1-5-80-0)");
        assert_eq!(services(&folder), [SERVICE]);
        assert_eq!(strangers(&folder, ME), ["S-1-5-80-0"]);
        assert!(keeps_out(&own(ME, &[]), &services(&folder)));
        assert!(!keeps_out(&own(ME, &services(&folder)), &services(&folder)));
        assert!(!keeps_out(&own(ME, &[]), &[]));
        assert!(own(ME, &services(&folder)).ends_with(&format!("(A;;FA;;;{ME})(A;;FA;;;{SERVICE})")));
    }
}
