"""A view and its job, in the transaction of a test, by Django's test client."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist
from django.test import TestCase

from shop import app, welcome


class SignUps(TestCase):
    def test_a_welcome_is_sent(self) -> None:
        with app.testing() as kit:
            self.client.post("/signups", {"name": "ada"})

            user = User.objects.get(username="ada")
            kit.assert_sent(welcome, user.pk)
            assert user.first_name == ""

    def test_the_handler_sees_what_the_transaction_has_written(self) -> None:
        with app.testing() as kit:
            self.client.post("/signups", {"name": "ada"})

            kit.run_sync()

            assert User.objects.get(username="ada").first_name == "welcomed"
            assert app.sync.result(kit.assert_sent(welcome).handle) == "ada"

    def test_a_request_runs_its_job(self) -> None:
        with app.testing(eager=True):
            self.client.post("/signups", {"name": "ada"})

            assert User.objects.get(username="ada").first_name == "welcomed"

    def test_an_error_of_the_handler_comes_through(self) -> None:
        with app.testing(eager=True), self.assertRaises(ObjectDoesNotExist):  # noqa: PT027
            welcome.delay_sync(404)
