//! The configuration file as it can be, written from the flags themselves, so that it never lags behind them.

use clap::{Arg, ArgAction, Parser};

/// How wide a comment may be.
const WIDTH: usize = 100;

/// A TOML file with every setting of a program's command `name`, what it is for, and its default; all of it commented
/// out, so that a file that is kept does not hold old defaults fast. Empty when there is no such command.
#[must_use]
pub fn settings<C: Parser>(name: &str) -> String {
    let mut command = C::command();
    // What derives has not said yet is said in building.
    command.build();
    let Some(command) = command.find_subcommand(name) else { return String::new() };
    let mut file = String::new();
    for argument in command.get_arguments().filter(|argument| is_setting(argument)) {
        write(&mut file, argument);
    }
    file
}

fn is_setting(argument: &Arg) -> bool {
    let long = argument.get_long().unwrap_or("help");
    !matches!(long, "help" | "version" | "config") && !argument.is_hide_set()
}

fn write(file: &mut String, argument: &Arg) {
    let about = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut about = about.split_whitespace().collect::<Vec<_>>().join(" ");
    if !about.ends_with('.') {
        about.push('.');
    }
    let values: Vec<_> = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() && !is_switch(argument) {
        about.push_str(&format!(" One of: {}.", values.join(", ")));
    }
    if let Some(variable) = argument.get_env() {
        about.push_str(&format!(" Also from the environment, as {}.", variable.to_string_lossy()));
    }
    wrap(&about).for_each(|line| file.push_str(&format!("# {line}\n")));
    let name = argument.get_long().unwrap_or_default();
    file.push_str(&format!("#{name} = {}\n\n", value(argument)));
}

/// The default, or what such a value looks like.
fn value(argument: &Arg) -> String {
    if is_switch(argument) {
        return "false".to_owned();
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| toml_of(&value.to_string_lossy())).collect();
    let example = || {
        let names = argument.get_value_names().unwrap_or_default();
        format!("\"{}\"", names.first().map_or("…", |name| name.as_str()))
    };
    match (matches!(argument.get_action(), ArgAction::Append), defaults.as_slice()) {
        (true, defaults) => format!("[{}]", defaults.join(", ")),
        (false, [default, ..]) => default.clone(),
        (false, []) => example(),
    }
}

fn is_switch(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::SetTrue | ArgAction::SetFalse)
}

/// A number as it is, all else in quotes.
fn toml_of(text: &str) -> String {
    let is_number = text.parse::<i64>().is_ok() || (text.parse::<f64>().is_ok() && text.contains('.'));
    if is_number { text.to_owned() } else { toml::Value::String(text.to_owned()).to_string() }
}

fn wrap(text: &str) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().map_or(0, |line| line.len());
        if line > 0 && line + 1 + word.len() > WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Sub,
    }

    #[derive(clap::Subcommand)]
    enum Sub {
        Run {
            /// Where the web chat is.
            #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
            http: String,
            /// Be a relay too
            #[arg(long)]
            relay: bool,
            /// How many.
            #[arg(long, default_value_t = 3)]
            slots: u32,
            /// Names.
            #[arg(long, value_name = "NAME")]
            name: Vec<String>,
            /// A file.
            #[arg(long, value_name = "FILE")]
            key: Option<String>,
            #[arg(long)]
            config: Option<String>,
        },
    }

    #[test]
    fn every_setting_is_there_with_its_default_and_the_file_is_toml() {
        let file = settings::<Cli>("run");
        for line in ["#http = \"127.0.0.1:8080\"", "#relay = false", "#slots = 3", "#name = []", "#key = \"FILE\""] {
            assert!(file.lines().any(|found| found == line), "{line} in\n{file}");
        }
        assert!(file.contains("# Be a relay too.\n"), "{file}");
        assert!(!file.contains("config"), "{file}");
        assert_eq!(file.parse::<toml::Table>().unwrap().len(), 0, "as it is it changes nothing");
        let open: String =
            file.lines().map(|line| line.strip_prefix('#').unwrap_or(line)).fold(String::new(), |mut all, line| {
                if !line.starts_with(' ') {
                    all.push_str(line);
                    all.push('\n');
                }
                all
            });
        assert_eq!(open.parse::<toml::Table>().unwrap().len(), 5, "{open}");
        assert_eq!(settings::<Cli>("nothing"), "");
    }

    #[test]
    fn long_comments_are_wrapped() {
        let lines: Vec<_> = wrap(&"word ".repeat(60)).collect();
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
    }
}
