//! Which messages of a conversation follow which: a tree, of which one branch is shown.
//!
//! A question that is edited and an answer that is given anew become versions beside the first ones; nothing that was
//! said is overwritten. `Tree` knows places and no texts: it is read whole, texts only along one branch.

use sqlx::{Executor, QueryBuilder, Row};
use starling_protocol::message::Role;

use super::{Db, DbRow, Store, StoreError, messages::Message, rows};
use crate::id::{ConversationId, MessageId, UserId};

/// Versions that one message may have.
pub const MAX_VERSIONS: usize = 50;
/// Messages in all branches of a conversation together.
pub const MAX_MESSAGES: usize = 10_000;

/// Up to where a branch is meant.
#[derive(Clone, Copy, Debug)]
pub enum UpTo {
    /// To the end of the one that is shown.
    End,
    /// To what this message follows.
    Before(MessageId),
}

/// What was said on the way to a place.
#[derive(Clone, Debug, Default)]
pub struct Branch {
    /// From the beginning on.
    pub messages: Vec<Message>,
    /// The role of the message before which it ends.
    pub role: Option<Role>,
    /// The versions that there are of that one.
    pub versions: usize,
    /// Messages in all of the conversation's branches.
    pub total: usize,
}

/// A message's place among the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// From 1, in order of time over all branches; 0: what the model is told first, when that was said later.
    pub number: i64,
    /// What it follows; `None` at the beginning.
    pub parent: Option<MessageId>,
    /// The ids of all that stand in its place, itself among them, in order of time.
    pub versions: Vec<MessageId>,
}

/// The places of a conversation's messages, in order of their numbers.
pub(super) struct Tree(Vec<Node>);

#[derive(Clone, Copy)]
struct Node {
    id: MessageId,
    number: i64,
    parent: i64,
    role: Role,
}

impl Tree {
    pub(super) async fn read(from: impl Executor<'_, Database = Db>, conversation: &str) -> Result<Self, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT id, position, COALESCE(parent, position - 1) AS parent, role FROM messages
             WHERE conversation_id = ? ORDER BY position",
        )
        .bind(conversation)
        .fetch_all(from)
        .await?;
        rows.iter().map(Node::from_row).collect::<Result<_, _>>().map(Self)
    }

    /// The numbers from the beginning up to and with `end`.
    fn path(&self, end: i64) -> Vec<i64> {
        let mut path: Vec<i64> =
            std::iter::successors(self.at(end), |node| self.at(node.parent)).map(|node| node.number).collect();
        path.reverse();
        path
    }

    /// The end of the branch through `number` that was written last: what follows always has a greater number.
    fn newest_behind(&self, number: i64) -> i64 {
        let mut behind = vec![number];
        for node in self.0.iter().filter(|node| node.number > number) {
            if behind.binary_search(&node.parent).is_ok() {
                behind.push(node.number);
            }
        }
        behind.last().copied().unwrap_or(number)
    }

    fn last(&self) -> i64 {
        self.0.last().map_or(0, |node| node.number)
    }

    /// Says of a message where it stands.
    pub(super) fn place(&self, mut message: Message) -> Message {
        if let Some(node) = self.find(message.id) {
            message.position = Position {
                number: node.number,
                parent: self.at(node.parent).map(|parent| parent.id),
                versions: self.versions(node).map(|version| version.id).collect(),
            };
        }
        message
    }

    /// What the message of that id follows.
    pub(super) fn parent(&self, id: MessageId) -> Option<MessageId> {
        Some(self.at(self.find(id)?.parent)?.id)
    }

    fn versions(&self, of: Node) -> impl Iterator<Item = &Node> {
        self.0.iter().filter(move |node| node.parent == of.parent && node.role == of.role)
    }

    fn find(&self, id: MessageId) -> Option<Node> {
        self.0.iter().find(|node| node.id == id).copied()
    }

    fn at(&self, number: i64) -> Option<Node> {
        let at = self.0.binary_search_by_key(&number, |node| node.number).ok()?;
        // A parent is always before: a damaged file must not lead in a circle.
        self.0.get(at).filter(|node| node.parent < node.number).copied()
    }
}

impl Node {
    fn from_row(row: &DbRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: rows::parse("id", row.try_get("id")?)?,
            number: row.try_get("position")?,
            parent: row.try_get("parent")?,
            role: rows::word("role", row.try_get("role")?)?,
        })
    }
}

impl Store {
    /// What was said in a user's conversation up to a place, without an answer that is still being given; `None` when
    /// there is no such conversation, or no such message in it.
    pub async fn branch(
        &self,
        user: UserId,
        conversation: ConversationId,
        up_to: UpTo,
    ) -> Result<Option<Branch>, StoreError> {
        let leaf: Option<Option<i64>> =
            sqlx::query_scalar("SELECT leaf FROM conversations WHERE id = ? AND user_id = ?")
                .bind(conversation.to_string())
                .bind(user.to_string())
                .fetch_optional(&self.readers)
                .await?;
        let Some(leaf) = leaf else { return Ok(None) };
        let tree = Tree::read(&self.readers, &conversation.to_string()).await?;
        let mut branch = Branch { total: tree.0.len(), ..Branch::default() };
        let end = match up_to {
            UpTo::End => leaf.unwrap_or_else(|| tree.last()),
            UpTo::Before(id) => {
                let Some(node) = tree.find(id) else { return Ok(None) };
                (branch.role, branch.versions) = (Some(node.role), tree.versions(node).count());
                node.parent
            }
        };
        branch.messages = self.texts(user, conversation, &tree.path(end)).await?;
        let mut recalled = self.recalled_in(user, conversation).await?;
        let place = |message: Message| {
            let recalled = recalled.remove(&message.id).unwrap_or_default();
            tree.place(Message { recalled, ..message })
        };
        branch.messages = branch.messages.into_iter().map(place).collect();
        Ok(Some(branch))
    }

    /// The conversation of one of a user's messages.
    pub async fn conversation_of(&self, user: UserId, id: MessageId) -> Result<Option<ConversationId>, StoreError> {
        let conversation: Option<String> = sqlx::query_scalar(
            "SELECT conversation_id FROM messages JOIN conversations ON conversations.id = conversation_id
             WHERE messages.id = ? AND user_id = ?",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(&self.readers)
        .await?;
        Ok(conversation.map(|id| rows::parse("conversation_id", &id)).transpose()?)
    }

    /// Shows the branch through a message, as far as it was last written.
    pub async fn show_branch(&self, conversation: ConversationId, id: MessageId) -> Result<(), StoreError> {
        let conversation = conversation.to_string();
        let mut write = self.write().await?;
        let tree = Tree::read(&mut *write, &conversation).await?;
        if let Some(node) = tree.find(id) {
            sqlx::query("UPDATE conversations SET leaf = ? WHERE id = ?")
                .bind(tree.newest_behind(node.number))
                .bind(&conversation)
                .execute(&mut *write)
                .await?;
        }
        Ok(write.commit().await?)
    }

    async fn texts(
        &self,
        user: UserId,
        conversation: ConversationId,
        path: &[i64],
    ) -> Result<Vec<Message>, StoreError> {
        if path.is_empty() {
            return Ok(vec![]);
        }
        let mut query = QueryBuilder::<Db>::new("SELECT * FROM messages WHERE conversation_id = ");
        query.push_bind(conversation.to_string()).push(" AND status <> 'running' AND position IN (");
        let mut numbers = query.separated(", ");
        for number in path {
            numbers.push_bind(*number);
        }
        query.push(") ORDER BY position");
        let rows = query.build().fetch_all(&self.readers).await?;
        let keys = self.keys_of(user).await?;
        Ok(rows.iter().map(|row| Message::read(row, &keys)).collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parents of messages 1, 2, …; odd ones are questions where nothing else is said.
    fn tree(parents: &[i64]) -> Tree {
        let role = |number: i64, parent: i64| match (number, parent) {
            (_, 0) => Role::User,
            (_, parent) if parent % 2 == 1 => Role::Assistant,
            _ => Role::User,
        };
        let node = |(at, parent): (usize, &i64)| {
            let number = i64::try_from(at).unwrap() + 1;
            Node { id: MessageId::generate(), number, parent: *parent, role: role(number, *parent) }
        };
        Tree(parents.iter().enumerate().map(node).collect())
    }

    #[test]
    fn a_branch_is_the_way_from_the_beginning() {
        // 1-2-3-4, an edit 5-6 in place of 3, another answer 7 in place of 2, and another beginning 8.
        let tree = tree(&[0, 1, 2, 3, 2, 5, 1, 0]);
        for (end, path) in [(4, vec![1, 2, 3, 4]), (6, vec![1, 2, 5, 6]), (7, vec![1, 7]), (8, vec![8]), (0, vec![])] {
            assert_eq!(tree.path(end), path);
        }
        for (through, end) in [(1, 7), (2, 6), (3, 4), (7, 7), (8, 8)] {
            assert_eq!(tree.newest_behind(through), end, "through {through}");
        }
        let versions = |number| tree.versions(tree.at(number).unwrap()).map(|node| node.number).collect::<Vec<_>>();
        assert_eq!([versions(3), versions(2), versions(8), versions(4)], [vec![3, 5], vec![2, 7], vec![1, 8], vec![4]]);
    }

    #[test]
    fn a_damaged_tree_has_an_end() {
        assert_eq!(tree(&[0, 2, 2]).path(3), [3]);
        assert_eq!(tree(&[9]).path(1), Vec::<i64>::new());
    }
}
