package sim

// Mutation is a rule broken on purpose, to see that the invariants notice.
type Mutation string

const (
	SkipSync        Mutation = "skip the disk's sync"
	SilentIsYes     Mutation = "count a silent vote as yes"
	NoLeaseWait     Mutation = "voters help to replace a file sharing server they hear"
	NoBallots       Mutation = "proposers without distinct ballots"
	ForgetVote      Mutation = "forget promise and vote at a restart"
	IgnorePosition  Mutation = "elect a replica whatever its position"
	ServeOn         Mutation = "serve after the lease ran out"
	NoStartWait     Mutation = "a restarted voter votes at once"
	GrantAfterVote  Mutation = "prolong the lease after voting for the next generation"
	KeepLease       Mutation = "a file sharing server keeps its lease while it hands over"
	OpenGate        Mutation = "a replica takes data of any generation"
	SmallMargin     Mutation = "the lease is shorter by a twentieth only"
	NeverKeep       Mutation = "a program that starts does not sync what one before it left"
	SilentIsWhole   Mutation = "a replica that does not say how far it is counts as complete at 0"
	FewAreEnough    Mutation = "a promotion goes on without the replicas that do not answer, however few are left"
	MovedUpIsSure   Mutation = "a replica that was complete as a DRS2 counts as sure to have what was acknowledged"
	OwnTimeAlone    Mutation = "a file sharing server lends by its own examination time alone"
	ForgetTimes     Mutation = "a restarted voter keeps its promises for its new examination time"
	LeaseFromAnswer Mutation = "the lease is counted from the answer, not from the question"
	MeetBlindly     Mutation = "a copy is not asked what was done to it, its feeder is"
	MeetAnyway      Mutation = "nothing was done to a copy that does not know what was"
	CommonIsNewest  Mutation = "a feeder takes the position of a copy for one it had itself"
	AlwaysExact     Mutation = "a copy that got the beginning of a batch from its feeder is told that it is exactly where that was before"
	NumberAnew      Mutation = "a file sharing server that starts numbers changes from the beginning"
)

// rules are the places where a driver of the simulation can be told to do wrong.
type rules struct {
	skipSync, silentIsYes, noLeaseWait, noBallots, forgetVote, ignorePosition, serveOn bool

	noStartWait, grantAfterVote, keepLease, openGate, neverKeep, smallMargin, fromAnswer bool

	silentIsWhole, fewAreEnough, movedUpIsSure, ownTimeAlone, forgetTimes bool

	meetBlindly, meetAnyway, commonIsNewest, alwaysExact, numberAnew bool
}

func rulesOf(m Mutation) rules {
	return rules{
		skipSync: m == SkipSync, silentIsYes: m == SilentIsYes, noLeaseWait: m == NoLeaseWait, noBallots: m == NoBallots,
		forgetVote: m == ForgetVote, ignorePosition: m == IgnorePosition, serveOn: m == ServeOn, noStartWait: m == NoStartWait,
		grantAfterVote: m == GrantAfterVote, keepLease: m == KeepLease, openGate: m == OpenGate,
		smallMargin: m == SmallMargin, neverKeep: m == NeverKeep, fromAnswer: m == LeaseFromAnswer,
		silentIsWhole: m == SilentIsWhole, fewAreEnough: m == FewAreEnough, movedUpIsSure: m == MovedUpIsSure,
		ownTimeAlone: m == OwnTimeAlone, forgetTimes: m == ForgetTimes,
		meetBlindly: m == MeetBlindly, meetAnyway: m == MeetAnyway, commonIsNewest: m == CommonIsNewest, alwaysExact: m == AlwaysExact,
		numberAnew: m == NumberAnew,
	}
}
