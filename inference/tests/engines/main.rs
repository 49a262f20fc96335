//! Every engine behind the runner, from outside: what is promised to a node.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod apart;
#[cfg(any(target_os = "linux", all(windows, target_env = "gnu")))]
mod card;
mod continuation;
mod described;
mod embeddings;
mod faults;
mod forms;
mod golden;
mod misbehaviour;
mod open;
mod pauses;
mod reuse;
mod scripted;
mod steps;
mod stored;
mod subject;
mod suite;

use subject::Subject;

/// One test for each promise and engine, with an attribute.
macro_rules! promises {
    ($attribute:tt $engine:ident: $($promise:ident)*) => {
        mod $engine {
            $(
                #[tokio::test]
                #$attribute
                async fn $promise() {
                    crate::suite::$promise(crate::Subject::$engine()).await;
                }
            )*
        }
    };
}

macro_rules! for_each_engine {
    ($attribute:tt $($engine:ident)*) => {
        $(promises! { $attribute $engine:
            streams_and_ends_once
            stops_before_a_stop_string
            ends_at_max_tokens
            ends_when_the_context_is_full
            a_cancel_frees_the_slot
            a_cancel_while_the_prompt_is_read_frees_the_slot
            a_slow_reader_holds_up_nobody
            refuses_when_full_and_takes_the_next_at_once
            refuses_a_prompt_that_is_too_long
            names_the_field_that_is_wrong
            makes_no_vectors
            answers_at_once_as_alone
            the_same_seed_gives_the_same_text
            continues_behind_given_tokens
            shows_its_load
            ends_with_its_last_handle
        })*
    };
}

for_each_engine! { [cfg(all())]
    scripted_engine demo_model demo_f16_model stories_model described_model scripted_process demo_process
}

// In a process that finds the card: `card` starts them.
#[cfg(any(target_os = "linux", all(windows, target_env = "gnu")))]
for_each_engine! { [ignore = "another test starts it"] card_model }
