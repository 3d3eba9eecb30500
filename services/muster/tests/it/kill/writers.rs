//! The load: writers who repeat what was not answered, under the same request id.

use std::{cell::Cell, time::Duration};

use contract::{
    identity::v1::{CreateWorkspaceRequest, Workspace},
    tasks::v1::{CreateWorkItemRequest, TransitionWorkItemRequest, UpdateWorkItemRequest, WorkItem, WorkItemState},
};
use futures::future::{join, join_all};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::time::sleep;

use crate::world::{World, answered};

const ITEM_WRITERS: u64 = 6;

/// The states an item goes through.
const WAY: [WorkItemState; 5] =
    [WorkItemState::InProgress, WorkItemState::Blocked, WorkItemState::InProgress, WorkItemState::InReview, WorkItemState::Completed];

/// A write that was acknowledged, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) request_id: String,
    /// The schema it went to.
    pub(crate) schema: &'static str,
    /// What was changed.
    pub(crate) aggregate_id: String,
    /// Its version after the change.
    pub(crate) version: i64,
}

/// Writes until `over`, and answers every write: none is left unanswered.
pub(crate) async fn write(world: &World, seed: u64, over: &Cell<bool>) -> Vec<Written> {
    let writers = (0..ITEM_WRITERS).map(|writer| write_items(world, StdRng::seed_from_u64(seed.wrapping_add(writer)), over));
    let (items, workspaces) = join(join_all(writers), write_workspaces(world, over)).await;
    items.into_iter().flatten().chain(workspaces).collect()
}

/// Creates items that somebody else is to do, who gets a mail of each, takes each one a part of its way, and changes shared ones in between.
async fn write_items(world: &World, mut random: StdRng, over: &Cell<bool>) -> Vec<Written> {
    let mut written = Vec::new();
    while !over.get() {
        let (item, created) = create(world, world.product_ids.choose(&mut random).unwrap()).await;
        written.push(created);
        for state in &WAY[..random.random_range(0..=WAY.len())] {
            written.push(transition(world, &item, *state).await);
        }
        written.push(rename(world, world.shared.choose(&mut random).unwrap()).await);
        sleep(Duration::from_millis(random.random_range(0..40))).await;
    }
    written
}

async fn create(world: &World, product_id: &str) -> (WorkItem, Written) {
    let request_id = world.ids.next().to_string();
    let answer = answered("creating an item", async || {
        let request = CreateWorkItemRequest {
            workspace_id: world.workspace_id.clone(),
            product_id: product_id.to_owned(),
            title: "paint the shed".into(),
            assignee_ids: vec![world.assignee_id.clone()],
            request_id: request_id.clone(),
            ..Default::default()
        };
        world.items.clone().create_work_item(world.request(&request_id, request).await).await
    });
    let item = answer.await.work_item.unwrap();
    let written = of_item(request_id, &item);
    (item, written)
}

async fn transition(world: &World, item: &WorkItem, state: WorkItemState) -> Written {
    let request_id = world.ids.next().to_string();
    let answer = answered("moving an item", async || {
        let request = TransitionWorkItemRequest {
            workspace_id: world.workspace_id.clone(),
            work_item_id: item.work_item_id.clone(),
            state: state.into(),
            request_id: request_id.clone(),
            ..Default::default()
        };
        world.items.clone().transition_work_item(world.request(&request_id, request).await).await
    });
    let item = answer.await.work_item.unwrap();
    of_item(request_id, &item)
}

async fn rename(world: &World, item: &WorkItem) -> Written {
    let request_id = world.ids.next().to_string();
    let answer = answered("renaming an item", async || {
        let request = UpdateWorkItemRequest {
            workspace_id: world.workspace_id.clone(),
            work_item: Some(WorkItem { work_item_id: item.work_item_id.clone(), title: request_id.clone(), ..WorkItem::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["title".into()] }),
            request_id: request_id.clone(),
            ..Default::default()
        };
        world.items.clone().update_work_item(world.request(&request_id, request).await).await
    });
    let item = answer.await.work_item.unwrap();
    of_item(request_id, &item)
}

fn of_item(request_id: String, item: &WorkItem) -> Written {
    Written { request_id, schema: tasks::SCHEMA, aggregate_id: item.work_item_id.clone(), version: item.etag.parse().unwrap() }
}

/// Creates workspaces: identity is written to as well, and authorization must hear of it.
async fn write_workspaces(world: &World, over: &Cell<bool>) -> Vec<Written> {
    let mut written = Vec::new();
    while !over.get() {
        let request_id = world.ids.next().to_string();
        let answer = answered("creating a workspace", async || {
            let request = CreateWorkspaceRequest { slug: request_id.clone(), display_name: "Shed".into(), request_id: request_id.clone() };
            world.workspaces.clone().create_workspace(world.request(&request_id, request).await).await
        });
        let Workspace { workspace_id, .. } = answer.await.workspace.unwrap();
        written.push(Written { request_id, schema: identity::SCHEMA, aggregate_id: workspace_id, version: 1 });
        sleep(Duration::from_millis(200)).await;
    }
    written
}
