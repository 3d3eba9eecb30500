//! Importing a plan: read, weigh against what is there, then write all of it in one transaction, or nothing.

use std::collections::HashMap;

use db::{Db, Tx};
use rpc::Caller;
use runtime::{Ids, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use super::merge::{Known, News};
use super::store::Origin;
use super::{Digest, FINDINGS_MAX, Finding, FindingKind, Plan, PlanItem, Unreadable, store};
use crate::product::{ProductId, item_key, store as products};
use crate::work_item::{self, Kind, NewWorkItem, Parent, State, WorkItem, WorkItemId, check_place};
use crate::{error::Error, events};

/// The most text of items that one import changes, in bytes: it is held in memory until the commit.
const CHANGED_BYTES_MAX: usize = 32 << 20;

/// A plan to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Where its items belong.
    pub workspace_id: WorkspaceId,
    /// What numbers them.
    pub product_id: ProductId,
    /// What the plan is called.
    pub document: String,
    /// The plan.
    pub markdown: String,
    /// Whether to report only.
    pub validate_only: bool,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Each checkbox, in the order of the plan.
    pub items: Vec<Reported>,
    /// What was not understood, kept or repaired; the first thousand.
    pub findings: Vec<Finding>,
}

/// What became of one checkbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Its line, from 1.
    pub line: usize,
    /// The item and its key; `None` for one that would be created.
    pub item: Option<(WorkItemId, String)>,
    /// Its title.
    pub title: String,
    /// How deep it nests.
    pub depth: usize,
    /// What was done.
    pub action: Action,
}

/// What an import did with a checkbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Created an item.
    Created,
    /// Changed an item.
    Updated,
    /// Found the item.
    Unchanged,
}

/// The use cases of plans.
#[derive(Clone)]
pub struct Ops {
    db: Db,
    ids: Ids,
}

impl Ops {
    /// Over `db`.
    pub fn new(db: Db, ids: Ids) -> Self {
        Ops { db, ids }
    }

    /// Imports a plan, or tells what that would do.
    ///
    /// The product is locked from the first look to the commit, so that two imports of one document don't both create its items; whoever
    /// creates an item in it meanwhile may be told to try again.
    ///
    /// # Errors
    /// `PLAN_EMPTY`, `PLAN_TOO_LARGE`, `PRODUCT_NOT_FOUND`, `HIERARCHY_TOO_DEEP`, `REQUEST_ID_REUSED`.
    /// # Emits
    /// `WorkItemCreated`, `WorkItemUpdated` and `WorkItemTransitioned`, one for each change of each item, same transaction.
    pub async fn import(&self, caller: &Caller, import: Import) -> Result<Report, Error> {
        let reporter_id = caller.user_id()?;
        let Import { workspace_id, product_id, document, markdown, validate_only } = import;
        let plan = read(document.clone(), markdown).await?;
        if validate_only {
            let weigh = self.db.read(caller, async |tx| {
                products::get(tx, workspace_id, product_id).await?.ok_or(Error::ProductNotFound)?;
                let weighed = Weighed::of(tx, product_id, &document, plan).await?;
                weighed.place(tx, product_id).await?;
                Ok(weighed.report())
            });
            return weigh.await;
        }
        let write = self.db.write(caller, async |tx| {
            let key = products::lock(tx, workspace_id, product_id).await?.ok_or(Error::ProductNotFound)?;
            let mut weighed = Weighed::of(tx, product_id, &document, plan).await?;
            let places = weighed.place(tx, product_id).await?;
            weighed.change(tx, workspace_id).await?;
            let new = self.new_items(tx, &weighed, &places, Home { workspace_id, product_id, reporter_id, key: &key }).await?;
            store::insert(tx, &document, &new).await?;
            new.iter().for_each(|(item, _)| tx.emit(events::created(item)));
            Ok(weighed.reported(new))
        });
        write.await
    }

    /// The items that are not there yet, with numbers of their own, in the order of the plan.
    async fn new_items(
        &self,
        tx: &mut Tx,
        weighed: &Weighed,
        places: &[Option<Parent>],
        home: Home<'_>,
    ) -> Result<Vec<(WorkItem, Origin)>, Error> {
        let count = weighed.known.iter().filter(|known| known.is_none()).count();
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut number = products::take_numbers(tx, home.product_id, i64::try_from(count).unwrap_or(i64::MAX)).await?;
        let mut ids: Vec<WorkItemId> = Vec::with_capacity(places.len());
        let mut new = Vec::with_capacity(count);
        for (planned, (known, place)) in weighed.plan.items.iter().zip(weighed.known.iter().zip(places)) {
            if let Some(known) = known {
                ids.push(known.work_item_id);
                continue;
            }
            let id = self.ids.next_id();
            ids.push(id);
            let stands = home.item(planned, kind_under(*place), planned.parent.map(|at| ids[at]));
            let mut item = WorkItem::new(id, tx.organization_id(), home.reporter_id, stands, tx.now());
            (item.number, item.key) = (number, item_key(home.key, number));
            item.state = if planned.checked { State::Completed } else { State::NotStarted };
            new.push((item, origin(planned, planned.checked)));
            number += 1;
        }
        Ok(new)
    }
}

/// Where new items come to stand.
#[derive(Clone, Copy)]
struct Home<'a> {
    workspace_id: WorkspaceId,
    product_id: ProductId,
    reporter_id: UserId,
    key: &'a str,
}

impl Home<'_> {
    fn item(&self, planned: &PlanItem, r#type: Kind, parent_id: Option<WorkItemId>) -> NewWorkItem {
        NewWorkItem {
            workspace_id: self.workspace_id,
            product_id: self.product_id,
            parent_id,
            r#type,
            title: planned.title.clone(),
            description: planned.description.clone(),
            priority: work_item::Priority::default(),
            effort: work_item::Effort::default(),
            assignee_ids: Vec::new(),
            labels: Vec::new(),
            due_time: None,
        }
    }
}

/// Reads a plan where it holds up no other call: a megabyte takes its time.
async fn read(document: String, markdown: String) -> Result<Plan, Error> {
    let read = tokio::task::spawn_blocking(move || super::read(&document, &markdown)).await;
    match read.map_err(|error| rpc::Error::Internal(error.to_string()))? {
        Ok(plan) => Ok(plan),
        Err(Unreadable::Empty) => Err(Error::PlanEmpty),
        Err(Unreadable::TooLarge) => Err(Error::PlanTooLarge),
    }
}

fn origin(planned: &PlanItem, import_checked: bool) -> Origin {
    Origin { import_key: planned.import_key, import_sha256: planned.text_sha256(), import_checked }
}

/// A plan beside what is there of it.
struct Weighed {
    plan: Plan,
    /// For each item of the plan, the one that is there.
    known: Vec<Option<Known>>,
    /// For each of those, what the plan says that is new.
    news: Vec<News>,
    findings: Vec<Finding>,
}

impl Weighed {
    async fn of(tx: &mut Tx, product_id: ProductId, document: &str, mut plan: Plan) -> Result<Self, Error> {
        let keys: Vec<Digest> = plan.items.iter().map(|item| item.import_key).collect();
        let found = store::known(tx, product_id, &keys).await?;
        let mut found: HashMap<Digest, Known> = found.into_iter().map(|known| (known.import_key, known)).collect();
        let known: Vec<Option<Known>> = keys.iter().map(|key| found.remove(key)).collect();
        let news_of = |(item, known): (&PlanItem, &Option<Known>)| known.as_ref().map(|known| News::of(item, known)).unwrap_or_default();
        let news = plan.items.iter().zip(&known).map(news_of).collect();
        let missing = store::missing(tx, product_id, document, &keys).await?;
        let mut findings = std::mem::take(&mut plan.findings);
        findings.extend(missing.into_iter().map(|(key, title)| Finding::new(0, FindingKind::MissingFromPlan, &format!("{key} {title}"))));
        let weighed = Weighed { plan, known, news, findings };
        weighed.check_size()?;
        Ok(weighed)
    }

    /// The items that are there and of which something is to be written, by their places in the plan.
    fn touched(&self) -> impl Iterator<Item = (usize, &Known)> {
        let there = self.known.iter().enumerate().filter_map(|(index, known)| known.as_ref().map(|known| (index, known)));
        there.filter(|(index, _)| self.news[*index].remember)
    }

    fn check_size(&self) -> Result<(), Error> {
        let bytes: usize = self.touched().map(|(_, known)| known.description_bytes).sum();
        if bytes > CHANGED_BYTES_MAX { Err(Error::PlanTooLarge) } else { Ok(()) }
    }

    /// Under what each new item comes to stand. An item that is there stays where it is, wherever it was moved.
    async fn place(&self, tx: &mut Tx, product_id: ProductId) -> Result<Vec<Option<Parent>>, Error> {
        let over_new = self.plan.items.iter().zip(&self.known).filter(|(_, known)| known.is_none()).filter_map(|(item, _)| item.parent);
        let there: Vec<WorkItemId> = over_new.filter_map(|at| self.known[at].as_ref().map(|known| known.work_item_id)).collect();
        let there: HashMap<WorkItemId, Parent> = store::parents(tx, product_id, &there).await?.into_iter().collect();
        // Each item as a parent, and under what it stands.
        let (mut stands, mut places) = (Vec::with_capacity(self.known.len()), Vec::with_capacity(self.known.len()));
        for (item, known) in self.plan.items.iter().zip(&self.known) {
            let over: Option<Parent> = item.parent.and_then(|at| stands[at]);
            stands.push(match known {
                Some(known) => there.get(&known.work_item_id).copied(),
                None => Some(Parent { r#type: kind_under(over), depth: over.map_or(0, |over| over.depth) + 1 }),
            });
            if known.is_none() {
                check_place(kind_under(over), over, 1)?;
            }
            places.push(over);
        }
        Ok(places)
    }

    /// Writes and tells what is new of the items that are there, as they stand once they are locked.
    async fn change(&mut self, tx: &mut Tx, workspace_id: WorkspaceId) -> Result<(), Error> {
        let touched: Vec<(usize, Known)> = self.touched().map(|(index, known)| (index, known.clone())).collect();
        if touched.is_empty() {
            return Ok(());
        }
        let ids: Vec<WorkItemId> = touched.iter().map(|(_, known)| known.work_item_id).collect();
        let locked = work_item::store::lock(tx, workspace_id, &ids).await?;
        let mut locked: HashMap<WorkItemId, WorkItem> = locked.into_iter().map(|item| (item.work_item_id, item)).collect();
        let mut changed = Vec::with_capacity(ids.len());
        for (index, known) in touched {
            // Somebody deleted it between the two looks: the next try finds it gone, and creates it.
            let before = locked.remove(&known.work_item_id).filter(|item| item.delete_time.is_none()).ok_or(db::Error::Conflict(None))?;
            let planned = &self.plan.items[index];
            let news = News::of(planned, &known.as_of(&before));
            let after = brought_over(tx, planned, news, before)?;
            changed.push((after, origin(planned, news.checked)));
            self.news[index] = news;
        }
        Ok(store::update(tx, workspace_id, &changed).await?)
    }

    /// The report of an import that changes nothing.
    fn report(self) -> Report {
        self.reported(Vec::new())
    }

    fn reported(self, new: Vec<(WorkItem, Origin)>) -> Report {
        let mut findings = self.findings;
        let mut new = new.into_iter().map(|(item, _)| (item.work_item_id, item.key));
        let mut items = Vec::with_capacity(self.plan.items.len());
        for ((planned, known), news) in self.plan.items.into_iter().zip(self.known).zip(self.news) {
            if news.state_kept {
                findings.push(Finding::new(planned.line, FindingKind::StateKept, &planned.title));
            }
            let (item, action) = match known {
                None => (new.next(), Action::Created),
                Some(known) => (Some((known.work_item_id, known.key)), if news.changes() { Action::Updated } else { Action::Unchanged }),
            };
            items.push(Reported { line: planned.line, item, title: planned.title, depth: planned.depth, action });
        }
        findings.sort_by_key(|finding| if finding.line == 0 { usize::MAX } else { finding.line });
        findings.truncate(FINDINGS_MAX);
        Report { items, findings }
    }
}

/// What a new item is: a part of a piece of work, or a piece of work.
fn kind_under(parent: Option<Parent>) -> Kind {
    match parent.map(|parent| parent.r#type) {
        Some(Kind::Task | Kind::Subtask) => Kind::Subtask,
        _ => Kind::Task,
    }
}

/// The item with what is new, each change told.
fn brought_over(tx: &mut Tx, planned: &PlanItem, news: News, before: WorkItem) -> Result<WorkItem, Error> {
    let mut item = before;
    if news.text {
        let change = work_item::Change { description: Some(planned.description.clone()), ..work_item::Change::default() };
        let after = item.changed(change, tx.now());
        tx.emit(events::updated(&item, &after));
        item = after;
    }
    if let Some(state) = news.state {
        let after = item.moved(state, tx.now())?;
        tx.emit(events::transitioned(&item, &after));
        item = after;
    }
    Ok(item)
}
