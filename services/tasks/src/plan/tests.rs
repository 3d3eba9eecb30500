use proptest::prelude::*;

use super::*;

fn plan(markdown: &str) -> Plan {
    read("plan.md", markdown).unwrap()
}

/// `line depth title`, with `x` before it when it is ticked.
fn outline(plan: &Plan) -> Vec<String> {
    let shape = |item: &PlanItem| format!("{} {} {}{}", item.line, item.depth, if item.checked { "x " } else { "" }, item.title);
    plan.items.iter().map(shape).collect()
}

fn findings(plan: &Plan) -> Vec<(usize, FindingKind, &str)> {
    plan.findings.iter().map(|finding| (finding.line, finding.kind, &*finding.text)).collect()
}

#[test]
fn nested_boxes_are_children_and_the_rest_is_their_description() {
    let plan = plan(
        "- [ ] paint the shed\n  - use the red paint\n    - two coats\n  - [x] buy paint\n\n    The shop closes at six.\n- [ ] rest\n",
    );
    assert_eq!(outline(&plan), ["1 1 paint the shed", "4 2 x buy paint", "7 1 rest"]);
    assert_eq!(plan.items.iter().map(|item| item.parent).collect::<Vec<_>>(), [None, Some(0), None]);
    let descriptions: Vec<&str> = plan.items.iter().map(|item| &*item.description).collect();
    assert_eq!(descriptions, ["- use the red paint\n  - two coats", "The shop closes at six.", ""]);
    assert_eq!(findings(&plan), []);
}

#[test]
fn every_list_marker_and_two_columns_are_enough() {
    let plan = plan("1. [ ] a\n  * [ ] b\n\t+ [x] c\n2) [ ] d\n");
    assert_eq!(outline(&plan), ["1 1 a", "2 2 b", "3 3 x c", "4 1 d"]);
}

#[test]
fn crlf_tabs_and_a_byte_order_mark_change_nothing() {
    let unix = plan("# Plan\n\n- [ ] a\n    - [x] b\n        text\n");
    let other = plan("\u{FEFF}# Plan\r\n\r\n- [ ] a\r\n\t- [x] b\r\n\t\ttext\r\n");
    assert_eq!(unix, other);
    assert_eq!(outline(&unix), ["3 1 a", "4 2 x b"]);
    assert_eq!(plan("- [ ] a\r- [ ] b"), plan("- [ ] a\n- [ ] b"));
}

#[test]
fn text_outside_of_lists_is_told_once_a_block() {
    let plan = plan("# Plan\nAn intro\nof two lines.\n\nMore.\n\n---\n\n- note\n- other note\n\n- [ ] a\n\n## Next\n- [ ] b\n\nThe end.\n");
    let ignored = FindingKind::TextIgnored;
    assert_eq!(
        findings(&plan),
        [
            (1, ignored, "# Plan"),
            (2, ignored, "An intro"),
            (5, ignored, "More."),
            (9, ignored, "- note"),
            (14, ignored, "## Next"),
            (17, ignored, "The end.")
        ]
    );
    assert_eq!(outline(&plan), ["12 1 a", "15 1 b"]);
    assert_eq!(plan.items[0].description, "");
}

#[test]
fn a_heading_closes_every_list() {
    let plan = plan("- [ ] a\n  - [ ] b\n# Next\n  - [ ] c\n");
    assert_eq!(outline(&plan), ["1 1 a", "2 2 b", "4 1 c"]);
}

#[test]
fn a_plain_bullet_closes_the_item_beside_it_and_holds_items_of_the_level_above() {
    let plan = plan("- [ ] a\n- group\n  - [ ] b\n  - [ ] c\n- [ ] d\n  - note\n    - [ ] e\n");
    assert_eq!(outline(&plan), ["1 1 a", "3 1 b", "4 1 c", "5 1 d", "7 2 e"]);
    assert_eq!(findings(&plan), [(2, FindingKind::TextIgnored, "- group")]);
}

#[test]
fn lines_that_go_on_belong_to_the_item_and_after_a_blank_line_they_do_not() {
    let plan = plan("- [ ] a\n  indented\nlazy\n\nnot lazy\n");
    assert_eq!(plan.items[0].description, "indented\nlazy");
    assert_eq!(findings(&plan), [(5, FindingKind::TextIgnored, "not lazy")]);
}

#[test]
fn text_after_children_goes_to_whom_it_is_indented_under_and_stands_apart() {
    let plan = plan("- [ ] a\n  first\n  - [ ] b\n\n  second\n      deeper\n    - [ ] c\n");
    assert_eq!(outline(&plan), ["1 1 a", "3 2 b", "7 2 c"]);
    assert_eq!(plan.items[0].description, "first\n\nsecond\n    deeper");
    assert_eq!(plan.items[1].description, "");
}

#[test]
fn boxes_in_code_are_code() {
    let plan = plan("```\n- [ ] no\n```\n- [ ] a\n  ~~~md\n  - [ ] no\n\n\n    - [ ] no\n  ~~~\n  - [ ] b\n");
    assert_eq!(outline(&plan), ["4 1 a", "11 2 b"]);
    assert_eq!(plan.items[0].description, "~~~md\n- [ ] no\n\n\n  - [ ] no\n~~~");
    assert_eq!(findings(&plan), [(1, FindingKind::TextIgnored, "```")]);
}

#[test]
fn a_fence_that_nobody_closed_ends_with_its_item() {
    let plan = plan("- [ ] a\n  ```\n  code\n- [ ] b\n");
    assert_eq!(outline(&plan), ["1 1 a", "4 1 b"]);
    assert_eq!(plan.items[0].description, "```\ncode");
}

#[test]
fn what_is_deeper_than_eight_is_imported_at_eight() {
    let markdown: String = (0..10).map(|depth| format!("{}- [ ] t{depth}\n", "  ".repeat(depth))).collect();
    let plan = plan(&markdown);
    assert_eq!(plan.items.iter().map(|item| item.depth).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 8, 8]);
    assert_eq!(plan.items[8].parent, Some(6));
    assert_eq!(plan.items[9].parent, Some(6));
    assert_eq!(findings(&plan), [(9, FindingKind::TooDeep, "t8"), (10, FindingKind::TooDeep, "t9")]);
}

#[test]
fn equal_titles_under_one_parent_are_told_apart_by_order() {
    let plan = plan("- [ ] a\n- [ ] b\n  - [ ] a\n- [ ]  a\n");
    let keys: std::collections::HashSet<Digest> = plan.items.iter().map(|item| item.import_key).collect();
    assert_eq!(keys.len(), 4);
    assert_eq!(findings(&plan), [(4, FindingKind::DuplicateTitle, "a")]);
}

#[test]
fn a_key_outlives_everything_but_another_title_on_its_path() {
    let one = plan("- [ ] a\n  - [ ] b\n");
    let other = plan("# New\n- [ ] z\n\n* [x] a\n\n  text\n\n    1. [x]  b \n");
    assert_eq!(one.items[0].import_key, other.items[1].import_key);
    assert_eq!(one.items[1].import_key, other.items[2].import_key);
    let renamed = plan("- [ ] A\n  - [ ] b\n");
    assert_ne!(one.items[1].import_key, renamed.items[1].import_key);
    assert_ne!(one.items[0].import_key, read("other.md", "- [ ] a").unwrap().items[0].import_key);
}

#[test]
fn a_long_title_goes_on_in_the_description() {
    let title = format!("{} {}", "a".repeat(495), "é".repeat(20));
    let plan = plan(&format!("- [ ] {title}\n  more\n"));
    assert_eq!(plan.items[0].title, "a".repeat(495));
    assert_eq!(plan.items[0].description, format!("{}\n\nmore", "é".repeat(20)));
    assert_eq!(findings(&plan), [(1, FindingKind::TitleShortened, &*"a".repeat(200))]);
    let unbroken = read("plan.md", &format!("- [ ] {}", "é".repeat(501))).unwrap();
    assert_eq!((unbroken.items[0].title.chars().count(), &*unbroken.items[0].description), (500, "é"));
    let exact = read("plan.md", &format!("- [ ] {} b", "a".repeat(500))).unwrap();
    assert_eq!((exact.items[0].title.len(), &*exact.items[0].description), (500, "b"));
}

#[test]
fn a_description_is_cut_where_it_no_longer_fits() {
    let markdown = format!("- [ ] a\n  {}\n  {}\n  {}\n", "b".repeat(65_000), "c".repeat(1_000), "d");
    let plan = plan(&markdown);
    assert_eq!(plan.items[0].description.len(), 65_000);
    assert_eq!(
        plan.findings.iter().map(|finding| (finding.line, finding.kind)).collect::<Vec<_>>(),
        [(3, FindingKind::DescriptionShortened)]
    );
}

#[test]
fn a_document_without_boxes_or_with_too_many_is_no_plan() {
    for markdown in ["", "\n", "# Plan\n- note\n", "- [ ]\n- [x]  \n"] {
        assert_eq!(read("plan.md", markdown), Err(Unreadable::Empty), "{markdown:?}");
    }
    let of = |count: usize| (0..count).map(|number| format!("- [ ] {number}\n")).collect::<String>();
    assert_eq!(read("plan.md", &of(ITEMS_MAX)).unwrap().items.len(), ITEMS_MAX);
    assert_eq!(read("plan.md", &of(ITEMS_MAX + 1)), Err(Unreadable::TooLarge));
    assert_eq!(read("plan.md", &"a".repeat(PLAN_BYTES_MAX + 1)), Err(Unreadable::TooLarge));
}

#[test]
fn findings_are_bounded_and_their_texts_are_too() {
    let plan = plan(&format!("{}- [ ] a\n", format!("{}\n\n", "é".repeat(300)).repeat(1_500)));
    assert_eq!(plan.findings.len(), FINDINGS_MAX);
    assert!(plan.findings.iter().all(|finding| finding.text.chars().count() == FINDING_TEXT_MAX));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_and_what_it_gives_can_be_stored(markdown in "([ \t]{0,9}|[-*+] \\[[ x]\\] ?|1[.)] |[#>`~-]{1,4}|[a-c\u{e9}\u{202e}\0 ]{0,5}|\r?\n){0,60}") {
        if let Ok(plan) = read("plan.md", &markdown) {
            let keys: std::collections::HashSet<Digest> = plan.items.iter().map(|item| item.import_key).collect();
            prop_assert_eq!(keys.len(), plan.items.len());
            for (index, item) in plan.items.iter().enumerate() {
                prop_assert!(!item.title.is_empty() && item.title.chars().count() <= 500 && !item.title.contains(['\n', '\0']));
                prop_assert!(item.description.len() <= 65_536 && !item.description.contains('\0'));
                prop_assert_eq!(item.depth, item.parent.map_or(0, |parent| plan.items[parent].depth) + 1);
                prop_assert!(item.parent.is_none_or(|parent| parent < index) && item.depth <= PLAN_DEPTH_MAX);
                prop_assert!(item.line >= 1 && item.line <= markdown.split(['\n', '\r']).count());
            }
        }
    }

    #[test]
    fn arbitrary_text_is_read_or_refused(markdown in any::<String>()) {
        let _ = read("plan.md", &markdown);
    }

    #[test]
    fn every_box_of_a_plain_list_is_found_on_its_line(depths in prop::collection::vec(0_usize..12, 1..200)) {
        let markdown: String = depths.iter().enumerate().map(|(index, depth)| format!("{}- [ ] t{index}\n", "  ".repeat(*depth))).collect();
        let plan = read("plan.md", &markdown).unwrap();
        prop_assert_eq!(plan.items.len(), depths.len());
        for (index, item) in plan.items.iter().enumerate() {
            prop_assert_eq!((item.line, &*item.title), (index + 1, &*format!("t{index}")));
        }
    }
}
