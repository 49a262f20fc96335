//! What a swarm says of itself: to people in the chat, and to a monitoring system.

use serde_json::json;
use starling_tests::TestSwarm;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_and_its_answers_are_seen_in_figures() {
    let (swarm, nodes) = TestSwarm::with_nodes(&["answer_tokens=40,slots=3"]).await;
    let body = json!({"model": "scripted", "messages": [{"role": "user", "content": "hello"}]});
    assert_eq!(swarm.complete(&body).await.status(), 200);
    swarm.is_idle().await;
    swarm.sees("the machine's memory", |view| view.nodes.iter().all(|node| node.ram.total > 0)).await;

    let view = swarm.get("/api/swarm").await;
    let node = &view["nodes"][0];
    assert_eq!((node["offers"][0]["slots_total"].as_u64(), node["warning"].as_str()), (Some(3), Some("")));
    assert!(node["ram"]["used"].as_u64() < node["ram"]["total"].as_u64(), "{node}");

    let metrics = swarm.http.get(swarm.url("/metrics")).bearer_auth(&swarm.key).send().await.unwrap();
    let text = metrics.text().await.unwrap();
    let peer = nodes[0].peer;
    for line in [
        "starling_nodes 1\n".to_owned(),
        "starling_jobs_running 0\n".to_owned(),
        "starling_answers_total{outcome=\"done\"} 1\n".to_owned(),
        "starling_answer_tokens_total 40\n".to_owned(),
        format!("starling_model_slots{{peer=\"{peer}\",node=\"test node\",model=\"scripted\"}} 3.0\n"),
    ] {
        assert!(text.contains(&line), "{line} is not in {text}");
    }
}
