use super::file::{Deed, Scenario, When};
use super::play::{Play, Played};

const LEAST: &str =
    "size = \"1MiB\"\n[load]\nkind = \"random\"\nrequests = 30\nlongest = \"8KiB\"\n";

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse(text, "s.toml").map_err(|failure| failure.to_string())
}

async fn play(text: &str) -> Played {
    Play::of(&parse(text).unwrap()).play().await.unwrap()
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, says) in [
        ("", "`size` is missing"),
        ("size = \"1MiB\"", "`load` is missing"),
        ("size = \"1MB\"", "s.toml:1:8: size: `1MB` has no known unit"),
        ("size = \"2GiB\"", "from 4KiB to 1GiB"),
        ("size = \"1MiB\"\nsise = 3", "there is no key `sise` here"),
        (&format!("{LEAST}[[step]]\ndo = \"fault vansih\""), "`vansih` is no fault"),
        (&format!("{LEAST}[[step]]\ndo = \"push\""), "`push` is nothing that a step does"),
        (&format!("{LEAST}[[step]]\nwhen = \"write 0\"\ndo = \"pull\""), "`0` is no place"),
        (
            &format!("{LEAST}[[step]]\nwhen = \"noon\"\ndo = \"pull\""),
            "`noon` is no time for a step",
        ),
        (&format!("{LEAST}[[step]]\ndo = \"wait gone\""), "`gone` is no state"),
        (&format!("{LEAST}[settings]\nio_deadline = \"1ms\""), "from 1s to 1h"),
        ("size = \"4KiB\"\n[load]\nkind = \"random\"\nrequests = 1", "longest = \"64KiB\""),
        (
            "size = \"1MiB\"\n[load]\nkind = \"command\"\ncommand = \"true\"\n[[step]]\nwhen = \"write 3\"\ndo = \"pull\"",
            "arm a fault instead",
        ),
    ] {
        let why = parse(text).expect_err(text);
        assert!(why.contains(says), "{text}: {why}");
    }
}

#[test]
fn steps_are_read() {
    let text = format!(
        "{LEAST}[[step]]\nwhen = \"after 200ms\"\ndo = \"shell hotbay pull disk\"\nhold = false"
    );
    let step = &parse(&text).unwrap().step[0];
    assert_eq!(step.when, When::After(std::time::Duration::from_millis(200)));
    assert_eq!(step.r#do, Deed::Shell("hotbay pull disk".into()));
    assert!(!step.hold);
}

#[test]
fn the_examples_are_right() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/scenarios");
    let mut examples = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        Scenario::read(&entry.unwrap().path()).unwrap();
        examples += 1;
    }
    assert_eq!(examples, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_at_an_exact_write_is_one() {
    let text = format!(
        "{LEAST}[[step]]\nwhen = \"write 7\"\ndo = \"shell cp $HOTBAY_IMAGE at-7.img\"\n\
         [[step]]\ndo = \"pull\"\n[[step]]\nwhen = \"end\"\n\
         do = \"shell cmp $HOTBAY_IMAGE at-7.img\"\n[[step]]\ndo = \"insert\"\n[check]\nevents = [\"pulled\"]"
    )
    // A read that only the medium can answer would wait for it.
    .replace("requests = 30", "requests = 30\nreads = 0");
    let played = play(&text).await;
    assert_eq!(played.wrongs, Vec::<String>::new(), "{}", played.summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_the_verdict() {
    for (rest, says) in [
        (
            "[check]\ncommand = \"echo so it is; false\"",
            "the check ended with exit status: 1: so it is",
        ),
        ("[check]\nevents = [\"lost\"]", "there was no event `lost`"),
        ("[check]\nlongest_request = \"1ns\"", "more than 1ns"),
        ("[[step]]\nwhen = \"write 1000\"\ndo = \"pull\"", "before write 1000"),
        ("[[step]]\ndo = \"fault corrupt on write 3\"", "is wrong"),
        ("[[step]]\ndo = \"fault error on write 3\"", "failed: the server answers"),
        ("[[step]]\ndo = \"insert\"", "step 1: "),
        ("[[step]]\ndo = \"shell false\"", "step 1: the command ended with"),
        (
            "[[step]]\nwhen = \"end\"\ndo = \"wait absent 100ms\"",
            "the volume is present and not absent",
        ),
    ] {
        let played = play(&format!("{LEAST}{rest}")).await;
        let wrongs = played.wrongs.join("\n");
        assert!(wrongs.contains(says), "{rest}: {wrongs}");
    }
    let slow = format!("limit = \"300ms\"\n{LEAST}[[step]]\ndo = \"shell sleep 60\"");
    assert!(play(&slow).await.wrongs.concat().contains("not over after 300ms"));
}
