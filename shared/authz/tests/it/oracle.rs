use authz::{Assignment, Delta, RoleScope, Snapshot, Workspaces};
use contract::{Permission, Reach};
use proptest::prelude::*;

use crate::world::{Asked, News, deltas, everything, history, naive, organization, questions, user, workspace};

fn decide(snapshot: &Snapshot, asked: &Asked) -> authz::Decision {
    snapshot.check(&asked.query(&asked.resource()))
}

fn rebuilt(history: &[News]) -> Snapshot {
    Snapshot::of(history.len() as i64, &everything(&deltas(history)))
}

type Answer = (Vec<(Permission, Reach)>, Workspaces, i64);

/// Every decision about everybody's permissions everywhere, and every list of workspaces.
fn all_answers(snapshot: &Snapshot) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (u, o) in (0..5).flat_map(|u| (0..3).map(move |o| (u, o))) {
        for w in (0..9).map(|w| Some(workspace(w))).chain([None]) {
            let (user, organization) = (user(u), organization(o));
            let version = snapshot.version(user, organization, w);
            answers.push((snapshot.permissions(user, organization, w), snapshot.workspaces(user, organization), version));
        }
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_decides_as_the_naive_interpreter_does(history in history(), questions in questions()) {
        let (snapshot, naive) = (rebuilt(&history), naive(&deltas(&history)));
        for asked in &questions {
            let expected = naive.check(&asked.query(&asked.resource()));
            prop_assert_eq!(decide(&snapshot, asked), expected, "{:?}", asked);
            prop_assert_eq!(snapshot.workspaces(asked.user, asked.organization), naive.workspaces(asked.user, asked.organization));
        }
    }

    #[test]
    fn deltas_one_by_one_lead_to_the_same_state_as_a_new_snapshot(history in history()) {
        let by_deltas = deltas(&history).iter().enumerate().fold(Snapshot::default(), |held, (n, delta)| held.after(n as i64 + 1, delta));
        prop_assert_eq!(all_answers(&by_deltas), all_answers(&rebuilt(&history)));
    }

    #[test]
    fn deltas_told_twice_and_out_of_order_lead_to_the_same_state(history in history(), seed in any::<u64>()) {
        let mut told = deltas(&history);
        told.extend(told.clone());
        let length = told.len().max(1);
        (0..told.len()).for_each(|n| told.swap(n, (seed as usize).wrapping_mul(n + 7) % length));
        let shuffled = told.iter().fold(Snapshot::default(), |held, delta| held.after(1, delta));
        prop_assert_eq!(all_answers(&shuffled), all_answers(&rebuilt(&history)));
    }

    #[test]
    fn a_snapshot_that_was_handed_out_stays_as_it_was(history in history(), more in history()) {
        let before = rebuilt(&history);
        let answers = all_answers(&before);
        let later = deltas(&more).iter().fold(before.clone(), |held, delta| held.after(99, delta));
        prop_assert_eq!(all_answers(&before), answers);
        drop(later);
    }

    #[test]
    fn a_higher_role_takes_nothing_away(history in history(), questions in questions(), at in 0..8_u8, raised in 0..4_usize) {
        let scope = if at < 2 { RoleScope::Organization(organization(at)) } else { RoleScope::Workspace(organization(at / 4), workspace(at)) };
        let before = rebuilt(&history);
        let held = match scope {
            RoleScope::Workspace(of, workspace) => before.workspace_role(user(1), of, workspace),
            RoleScope::Organization(of) => before.organization_role(user(1), of),
            RoleScope::System => None,
        };
        let role = held.max(Some(authz::ROLES[raised]));
        let raise = Assignment { user: user(1), scope, role, version: 1_000 };
        let after = before.after(100, &Delta { assignments: vec![raise], ..Delta::default() });
        for asked in &questions {
            prop_assert!(decide(&after, asked).allowed >= decide(&before, asked).allowed, "{:?}", asked);
        }
    }

    #[test]
    fn nothing_leaks_sideways(history in history(), questions in questions(), at in 0..8_u8, role in 0..4_usize) {
        let (of, there) = (organization(at / 4), workspace(at));
        let before = rebuilt(&history);
        let gift = |scope| Delta { assignments: vec![Assignment { user: user(1), scope, role: Some(authz::ROLES[role]), version: 1_000 }], ..Delta::default() };
        // The workspace comes to be beforehand, so that the role alone is what changes.
        let before = before.after(99, &Delta { workspaces: vec![authz::Workspace { organization: of, workspace: there }], ..Delta::default() });
        let (narrow, wide) = (before.after(100, &gift(RoleScope::Workspace(of, there))), before.after(100, &gift(RoleScope::Organization(of))));
        for asked in &questions {
            let same_tenant = asked.user == user(1) && asked.organization == of;
            if !same_tenant {
                prop_assert_eq!(decide(&wide, asked), decide(&before, asked), "another user or organization: {:?}", asked);
            }
            if !(same_tenant && asked.workspace == Some(there)) {
                prop_assert_eq!(decide(&narrow, asked), decide(&before, asked), "another scope: {:?}", asked);
            }
        }
    }

    #[test]
    fn the_list_of_permissions_is_what_check_allows(history in history(), questions in questions()) {
        let snapshot = rebuilt(&history);
        for asked in &questions {
            let held = snapshot.permissions(asked.user, asked.organization, asked.workspace);
            let mine = Asked { owner: Some(asked.user), ..asked.clone() };
            prop_assert_eq!(decide(&snapshot, &mine).allowed, held.iter().any(|(permission, _)| *permission == asked.permission));
        }
    }
}
