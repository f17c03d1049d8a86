"""The REST framework's routes."""
from myapp.views import DashboardViewSet
from rest_framework.routers import SimpleRouter

router = SimpleRouter()
router.register("dashboard", DashboardViewSet)
urlpatterns = router.urls
