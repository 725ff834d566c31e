from cluster.failover import RETRY_LAST_S, Route, failed, recovered


def test_a_link_that_works_is_always_tried() -> None:
    assert Route().on_primary
    assert Route().tries_primary(now_s=0)


def test_a_link_that_failed_is_left_alone_until_its_wait_is_over() -> None:
    route = failed(Route(), "no answer", now_s=100)

    assert not route.on_primary
    assert (route.reason, route.down_since_s) == ("no answer", 100)
    assert not route.tries_primary(104.9)
    assert route.tries_primary(105)


def test_each_failed_try_doubles_the_wait_up_to_a_limit_and_keeps_since_when() -> None:
    route, waits = failed(Route(), "", now_s=0), []
    for _ in range(5):
        waits.append(route.wait_s)
        route = failed(route, "", now_s=route.retry_at_s)

    assert waits == [5, 10, 20, RETRY_LAST_S, RETRY_LAST_S]
    assert route.down_since_s == 0


def test_one_success_forgets_the_failures() -> None:
    assert recovered(failed(failed(Route(), "", 0), "", 5)) == Route()
