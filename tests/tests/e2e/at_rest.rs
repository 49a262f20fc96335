//! What people say is in no file of a gateway's that can be read without its master key.

use std::path::Path;

use starling_tests::TestSwarm;

/// Every answer has the word in it, as every question and every title does.
const SAYS: &str = "seed=1,tokens_per_second=2000,answer_tokens=8,slots=4,say=I have heard of murmurations: ";

fn count(folder: &Path, words: &str) -> usize {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let bytes: Vec<u8> = files.flat_map(|path| std::fs::read(path).unwrap()).collect();
    bytes.windows(words.len()).filter(|window| *window == words.as_bytes()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_words_through_the_chat_are_in_no_file() {
    let swarm = TestSwarm::start().await;
    let _node = swarm.add_node(SAYS).await;
    let mut chat = swarm.chat().await;
    for number in 0..50 {
        let question: Vec<String> = (0..20).map(|word| format!("murmuration-{number}-{word}")).collect();
        chat.ask(None, &question.join(" ")).await;
        let (answer, end) = chat.read_answer().await;
        assert!(end["type"] == "done" && answer.contains("murmurations"), "{end}");
    }
    let listed = swarm.get("/api/conversations").await;
    assert!(listed.to_string().contains("murmuration"), "its owner reads it: {listed}");
    assert_eq!(count(swarm.data.path(), "murmuration"), 0);
    if std::env::var_os("STARLING_TEST_DATABASE").is_none() {
        assert!(count(swarm.data.path(), listed["conversations"][0]["id"].as_str().unwrap()) > 0, "it was looked at");
    }
}
