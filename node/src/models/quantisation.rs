//! Quantisations: how a file name shows one, and which one somebody gets who asks for none.

/// What is taken when a repository has several and the name says none: good answers for little memory first.
const USUAL: [&str; 11] =
    ["Q4_K_M", "Q5_K_M", "Q4_K_S", "Q4_0", "IQ4_XS", "IQ4_NL", "Q8_0", "Q6_K", "Q5_K_S", "F16", "BF16"];

/// Whether a text looks like the name of a quantisation, such as `Q5_K_M`, `IQ4_XS`, `UD-Q4_K_XL` or `F16`.
pub(crate) fn is_one(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("UD-").unwrap_or(&upper);
    if text.len() > 24 {
        return false;
    }
    if ["F32", "F16", "BF16", "MXFP4", "MXFP4_MOE", "NVFP4"].contains(&name) {
        return true;
    }
    let digits = ["IQ", "TQ", "Q"].iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or_default();
    let mut parts = digits.split('_');
    let bits = parts.next().unwrap_or_default();
    let rest = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    bits.len() == 1 && bits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() > 1 && parts.all(rest)
}

/// The quantisation that a file's name shows, in capitals.
pub(crate) fn of_file(path: &str) -> Option<String> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.get(..file.len().checked_sub(5)?)?;
    let stem = part_of(path).map_or(stem, |_| &stem[..stem.len() - "-00001-of-00003".len()]);
    let mut parts: Vec<&str> = stem.split(['-', '.']).collect();
    // The last that is one: what follows are remarks such as `-imat`.
    while let Some(last) = parts.pop() {
        if is_one(last) {
            let ud = parts.last().is_some_and(|part| part.eq_ignore_ascii_case("UD"));
            return Some(format!("{}{last}", if ud { "UD-" } else { "" }).to_ascii_uppercase());
        }
    }
    None
}

/// Which part of how many a file is, by `-00001-of-00003.gguf` at the end of its name.
pub(crate) fn part_of(path: &str) -> Option<(u32, u32)> {
    let stem = path.get(..path.len().checked_sub(5)?)?;
    let tail = stem.get(stem.len().checked_sub(15)?..)?;
    let (number, parts) = tail.strip_prefix('-')?.split_once("-of-")?;
    match (number.parse(), parts.parse()) {
        (Ok(number), Ok(parts)) if parts > 1 => Some((number, parts)),
        _ => None,
    }
}

/// The usual one of these files, by their quantisations.
pub(crate) fn usual<'a>(files: &[&'a str]) -> Option<&'a str> {
    match files {
        [only] => Some(only),
        _ => USUAL.iter().find_map(|name| files.iter().find(|file| is(file, name)).copied()),
    }
}

/// Whether a file's name shows this quantisation.
pub(crate) fn is(file: &str, name: &str) -> bool {
    of_file(file).is_some_and(|own| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_show_their_quantisation() {
        for (file, name) in [
            ("Qwen3-8B-Q5_K_M.gguf", Some("Q5_K_M")),
            ("qwen2.5-0.5b-instruct-q4_k_m.gguf", Some("Q4_K_M")),
            ("llama-2-7b.Q4_0.gguf", Some("Q4_0")),
            ("all-MiniLM-L6-v2-ggml-model-f16.gguf", Some("F16")),
            ("gemma-3-27b-it-UD-Q4_K_XL.gguf", Some("UD-Q4_K_XL")),
            ("BF16/model-BF16-00001-of-00003.gguf", Some("BF16")),
            ("model-IQ2_XXS-imat.gguf", Some("IQ2_XXS")),
            ("gpt-oss-20b-mxfp4.gguf", Some("MXFP4")),
            ("stories260K.gguf", None),
            ("Q.gguf", None),
            (".gguf", None),
            ("a", None),
        ] {
            assert_eq!(of_file(file).as_deref(), name, "{file}");
        }
    }

    #[test]
    fn parts_are_known_by_their_numbers() {
        assert_eq!(part_of("a/b-00002-of-00003.gguf"), Some((2, 3)));
        for whole in ["b-00001-of-00001.gguf", "b.gguf", "-of-.gguf", "ü-0000x-of-00003.gguf", "ééééééééé.gguf"]
        {
            assert_eq!(part_of(whole), None, "{whole}");
        }
    }

    #[test]
    fn the_usual_one_is_the_only_one_or_a_good_one() {
        assert_eq!(usual(&["a-Q2_K.gguf"]), Some("a-Q2_K.gguf"));
        assert_eq!(usual(&["a-Q8_0.gguf", "a-Q4_K_M.gguf", "a-F16.gguf"]), Some("a-Q4_K_M.gguf"));
        assert_eq!(usual(&["a-F16.gguf", "a-Q8_0.gguf"]), Some("a-Q8_0.gguf"));
        assert_eq!(usual(&["a.gguf", "b.gguf"]), None);
    }
}
